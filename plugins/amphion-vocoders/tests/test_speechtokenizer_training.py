"""Training of SpeechTokenizer: its first codebook learns the teacher's features, and what does not fit is refused."""

import pytest
import torch

from amphion_core import recipe as recipes
from amphion_core.errors import RecipeError
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder
from amphion_vocoders.trainers.speechtokenizer import distillation

MEL = {"sample_rate": 16000, "n_fft": 512, "win_length": 512, "hop_length": 256, "n_mels": 8}


def recipe(folder, steps=40, *, semantic_dim=8, teacher=("mel", {"mel": MEL}), **trainer):
    name, fields = teacher if teacher else (None, {})
    return recipes.check({
        "name": "tokens", "seed": 1,
        "model": {
            "name": "codec/speechtokenizer", "filters": 4, "dim": 16, "lstm_layers": 1, "codebooks": 2,
            "codebook_size": 32, "dead_below": 0.2, "semantic_dim": semantic_dim,
        },
        "data": {"root": str(folder), "crop": 9600, "budget": 1.2, "resample": True, "dev_items": 1},
        "trainer": {"name": "speechtokenizer", "teacher": {"name": name, **fields} if name else None, **trainer},
        "optim": {"lr": 3e-3, "betas": [0.8, 0.99]},
        "engine": {"steps": steps, "validate_every": steps, "log_every": 1, "device": "cpu", "monitor": "mel"},
    })  # fmt: skip


def test_the_first_codebook_learns_the_teacher(four_clips, tmp_path):
    train(recipe(four_clips[0], codebook_start=11), tmp_path / "run")
    rows = [row for row in RunFolder(tmp_path / "run").curve() if "codec/mel" in row]
    assert not any("codec/distillation" in row for row in rows[:10])  # no codes yet
    found = [row["codec/distillation"] for row in rows[10:]]
    assert sum(found[-6:]) < 0.95 * sum(found[:6]), found


def test_the_distillation_compares_each_channel_over_time():
    teacher = torch.tensor([[[1.0, 2, 3, 4], [1, -1, 1, -1]]])
    same, opposite = distillation(3 * teacher, teacher), distillation(-teacher, teacher)
    torch.testing.assert_close(same, torch.tensor([0.3133]), atol=1e-4, rtol=0)  # -log sigmoid(1)
    torch.testing.assert_close(opposite, torch.tensor([1.3133]), atol=1e-4, rtol=0)
    half = teacher[..., ::2].repeat_interleave(2, 2)  # a teacher of half the rate
    assert distillation(half, teacher[..., ::2]) < 0.35


def test_a_teacher_that_does_not_fit_is_refused(four_clips, tmp_path):
    with pytest.raises(RecipeError, match="has 8 channels"):
        train(recipe(four_clips[0], 1, semantic_dim=9), tmp_path / "a")
    with pytest.raises(RecipeError, match="state the feature"):
        train(recipe(four_clips[0], 1, teacher=None), tmp_path / "b")
