"""VitsSVC learns two short voices; a song in a singer's voice by name, without a vocoder; the recipes."""

import json
import math

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes, yaml
from amphion_core.errors import RecipeError
from amphion_core.mel import MelConfig
from amphion_core.training import run

RATE = 24000
CONTENT = {"name": "mel", "mel": {**MelConfig.preset("hifigan_22k_80").model_dump(), "n_mels": 12}}  # another rate


@pytest.fixture
def recipe(prepared, hum):
    low, high = (each.samples for each in hum)
    clips, speaker = {"a": low, "b": high}, {"a": "tom", "b": "ann"}
    folder = prepared({"train": clips, "dev": clips}, rate=RATE, speaker=speaker)
    return recipes.check({
        "name": "tiny", "audio": "amphion_24k_100",
        "data": {"root": str(folder), "budget": 10.0, "workers": 0},
        "model": {
            "name": "svc/vits", "content": [CONTENT], "condition_channels": 16, "latent_channels": 16,
            "hidden_channels": 16, "n_layers": 1, "filter_channels": 16, "dropout": 0.0, "segment": 16,
            "speaker_channels": 8,
            "decoder": {
                "name": "vocoder/nsf_hifigan", "channels": 32, "upsample_rates": [16, 16],
                "upsample_kernels": [32, 32], "resblock": "2", "resblock_kernels": [3],
                "resblock_dilations": [[1, 3]],
            },
        },
        "trainer": {
            "name": "vits_svc", "validation": {"against_source": ["vuv_f1"]},
            "discriminators": [{"name": "discriminator/mpd", "channels": 2, "periods": [2, 3]}],
        },
        "optim": {"name": "adamw", "lr": 5e-3, "clip": 100.0},
        "engine": {"steps": 30, "validate_every": 30, "monitor": "mel", "device": "cpu"},
    })  # fmt: skip


def test_a_run_learns_its_voices_and_converts_to_them_by_name(recipe, hum, tmp_path):
    weights = run.train(recipe, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    errors = [row["dev/mel"] for row in rows if "dev/mel" in row]
    assert errors[-1] < 0.9  # measured: 0.68; 1.77 before the first step
    net = amphion.load(weights)
    assert net.config.speakers == ("ann", "tom") and net.config.decoder.config.mel.n_mels == 16
    task = amphion.task("svc", model=str(weights))
    made = task.generate(task.request(audio=hum[0], singer="ann"))
    assert made.sample_rate == RATE and made.duration == pytest.approx(hum[0].duration, abs=1 / RATE)
    found = np.median([f0 for f0 in task.converter.f0(made.samples) if f0 > 0])
    assert abs(12 * math.log2(found / (140 * 2 ** (7 / 12)))) < 0.5  # semitones; from 140 Hz, seven up
    assert np.isfinite(made.samples).all() and np.abs(made.samples).max() > 0.01


def test_another_model_is_refused():
    trainer = amphion.get("trainers", "vits_svc")
    with pytest.raises(RecipeError, match="cannot train World"):
        trainer(trainer.Config(), model=amphion.build("svc/world"))


@pytest.mark.parametrize(("name", "millions"), [("vits_svc", 104.3), ("vits_svc_small", 9.7)])
def test_the_recipes_are_complete_and_have_the_sizes_that_they_state(name, millions):
    recipe = recipes.read(name)
    assert recipe.trainer.config.validation.against_source
    assert recipes.check(yaml.parse(recipe.resolved())) == recipe
    with torch.device("meta"):
        net = recipe.model.build()
    assert sum(parameter.numel() for parameter in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
