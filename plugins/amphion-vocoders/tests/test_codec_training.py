"""Codecs that begin to learn: their first weights, and a small codec that is trained on four real clips."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import amphion_core as amphion
from amphion_core import recipe as recipes, yaml
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder
from amphion_vocoders.quantization import perplexity
from amphion_vocoders.trainers.mel_losses import mel_distance, multi_scale

MODEL = {
    "name": "codec/encodec", "sample_rate": 16000, "filters": 4, "dim": 16, "lstm_layers": 1, "codebooks": 2,
    "codebook_size": 32, "dead_below": 0.2,
}  # fmt: skip
JUDGE = {"name": "discriminator/ms_stftd", "ffts": [256], "hops": [64], "filters": 2}


def quiet_sound() -> Tensor:
    """A second of noise at the level of speech whose loudness and colour change all the time, (1, 1, T)."""
    draws = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, 24000, generator=draws).cumsum(2)
    noise = noise - torch.nn.functional.avg_pool1d(noise, 401, 1, 200)
    loudness = torch.rand(1, 1, 24, generator=draws).repeat_interleave(1000, 2)
    return 0.07 * loudness * noise / noise.std()


@pytest.mark.parametrize(
    ("name", "fields"), [("codec/encodec", {}), ("codec/speechtokenizer", {"filters": 8, "dim": 64})]
)
def test_latents_differ_between_frames_before_any_training(name, fields):
    torch.manual_seed(0)
    with torch.no_grad():
        latents = amphion.build(name, **fields).encoder(quiet_sound())  # (1, C, N)
    assert latents.std(2).mean() > 0.03  # PyTorch's own first weights give less than 0.002
    assert latents.std(2).mean() > latents.mean(2).abs().mean()


def test_frames_choose_different_entries_of_dac_before_any_training():
    torch.manual_seed(0)
    net = amphion.build("codec/dac", sample_rate=16000, encoder_channels=16, decoder_channels=64, codebooks=4).eval()
    used = perplexity(net.encode(quiet_sound()[..., :16000]).indices, net.codebook_size)
    assert used.min() > 6


def test_forty_steps_bring_the_mel_closer_with_codebooks_in_use(four_clips, tmp_path):
    recipe = recipes.check({
        "name": "overfit", "model": MODEL, "seed": 1,
        "data": {"root": str(four_clips[0]), "crop": 6400, "budget": 1.6, "resample": True, "dev_items": 2},
        "trainer": {"name": "codec", "discriminators": [JUDGE], "discriminator_start": 37, "codebook_start": 11},
        "optim": {"lr": 3e-3, "betas": [0.8, 0.99]},
        "engine": {"steps": 40, "validate_every": 40, "log_every": 5, "device": "cpu", "monitor": "mel"},
    })  # fmt: skip
    net = amphion.load(train(recipe, tmp_path / "run"))
    lines = [line for line in RunFolder(tmp_path / "run").curve() if "codec/mel" in line]
    assert "discriminator/loss" not in lines[0] and lines[-1]["discriminator/loss"] > 0
    assert lines[0]["codec/commitment"] == 0 < lines[-1]["codec/commitment"]
    root = Path(yaml.read(four_clips[0] / "dataset.yaml")["root"])
    clips = [amphion.Audio.load(path).resample(16000).samples for path in sorted(root.glob("*.flac"))]
    waves = torch.stack([torch.from_numpy(clip[:16000].copy()) for clip in clips])
    codes = net.encode(waves[:, None])
    used = [len(book.unique()) for book in codes.indices]
    latents = net.latents(codes)
    constant = latents.mean((0, 2), keepdim=True).expand_as(latents)  # as if all frames had the same code
    made, still = (
        mel_distance(net.decode_latents(each)[:, 0], waves, multi_scale(16000)).mean() for each in (latents, constant)
    )
    assert min(used) > 6  # of 32 entries; measured: 14 and 16
    assert made < 0.97 * still  # measured: 0.93
