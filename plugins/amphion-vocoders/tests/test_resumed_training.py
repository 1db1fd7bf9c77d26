"""Resumed training of vocoders without discriminators: diffusion, prediction sample by sample, and a flow."""

import pytest

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.training import checkpoint
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder

RUNS = [
    ("vocoder/diffwave", {}, "diffwave", "denoiser"),
    ("vocoder/wavenet", {"dropout": 0.2, "n_speakers": 1}, "autoregressive_vocoder", "vocoder"),
    ("vocoder/waveglow", {}, "waveglow", "flow"),
]


@pytest.mark.parametrize(("model", "changes", "trainer", "network"), RUNS)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(four_clips, tmp_path, model, changes, trainer, network):
    folder, _ = four_clips
    small = amphion.get("models", model).example_config().model_dump(exclude_unset=True) | changes

    def run(name, steps, **options):
        recipe = recipes.check({
            "name": "resumed", "seed": 1, "model": {"name": model, **small}, "trainer": trainer,
            "data": {"root": str(folder), "crop": 2048, "budget": 0.2, "dev": None},
            "optim": {"name": "adam", "lr": 1e-3, "weight_decay": 0},
            "engine": {"steps": steps, "save_every": 1, "log_every": 1, "micro_batches": 2, "device": "cpu",
                       "ema": {network: 0.9}},
        })  # fmt: skip
        train(recipe, tmp_path / name, **options)
        state = checkpoint.read(tmp_path / name / "checkpoints" / f"step-{steps}")[0]
        return {f"{kind}.{key}": value for kind, part in state.items() for key, value in part.items()}

    whole, half = run("whole", 4), run("parts", 2)
    resumed = run("parts", 4, resume=True)
    assert resumed.keys() == whole.keys()
    for name, value in whole.items():
        assert value.equal(resumed[name]), name
    assert any(not value.equal(whole[name]) for name, value in half.items() if name.startswith("networks."))
    losses = [
        [(line["step"], line[f"{network}/loss"]) for line in RunFolder(tmp_path / name).curve()]
        for name in ("whole", "parts")
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 4
