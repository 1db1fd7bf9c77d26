"""Training of WaveGlow on four real clips: it knows more about speech than its level, and scores a validation."""

import math

import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.errors import RecipeError
from amphion_core.training.run import build_trainer, train
from amphion_core.training.run_folder import RunFolder

FLOW = {
    "name": "vocoder/waveglow", "flows": 4, "early_every": 2, "layers": 4, "channels": 16, "upsample_kernel": 256,
}  # fmt: skip
ONE_GAUSSIAN = 0.5 * math.log(2 * math.pi * math.e)  # plus the logarithm of its deviation: nats for each sample


def test_fifty_steps_beat_a_gaussian_of_each_clips_own_level(four_clips, tmp_path):
    folder, levels = four_clips
    recipe = recipes.check({
        "name": "overfit", "audio": {"preset": "tacotron2_22k_80", "n_mels": 20}, "model": FLOW, "seed": 1,
        "data": {"root": str(folder), "crop": 22016, "budget": 4.1},
        "trainer": {"name": "waveglow", "metrics": ["m_stft"]},
        "optim": {"name": "adam", "lr": 4e-3, "weight_decay": 0},
        "engine": {"steps": 50, "validate_every": 50, "log_every": 10, "device": "cpu", "monitor": "nll"},
    })  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights = train(recipe, tmp_path / "run")
    torch.set_num_threads(threads)
    curve = RunFolder(tmp_path / "run").curve()
    scores = curve[-1]
    bound = sum(math.log(level) + ONE_GAUSSIAN for level in levels) / len(levels)  # -1.25
    assert scores["dev/nll"] < bound - 0.2  # measured: -1.80
    assert curve[0]["flow/nll"] > curve[-2]["flow/nll"] + 0.5
    assert scores["dev/m_stft"] > 0 and scores["dev/mel"] > 0
    net = amphion.load(weights)
    assert net.vocode(torch.zeros(1, 20, 3), seed=0).shape == (1, 3 * 256)


def test_another_vocoder_is_refused():
    recipe = recipes.check({"name": "r", "model": "vocoder/melgan", "trainer": "waveglow"})
    with pytest.raises(RecipeError, match="it trains vocoder/waveglow"):
        build_trainer(recipe)
