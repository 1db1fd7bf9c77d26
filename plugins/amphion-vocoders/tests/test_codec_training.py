"""GAN training of a small codec on four real clips: the copies come closer, and the codebooks stay in use."""

from amphion_core import recipe as recipes
from amphion_core.training.run import train
from amphion_core.training.run_folder import RunFolder

MODEL = {
    "name": "codec/encodec", "sample_rate": 16000, "filters": 4, "dim": 16, "lstm_layers": 1, "codebooks": 2,
    "codebook_size": 32, "dead_below": 0.2,
}  # fmt: skip
JUDGE = {"name": "discriminator/ms_stftd", "ffts": [256], "hops": [64], "filters": 2}


def test_forty_steps_bring_the_mel_closer_with_codebooks_in_use(four_clips, tmp_path):
    recipe = recipes.check({
        "name": "overfit", "model": MODEL, "seed": 1,
        "data": {"root": str(four_clips[0]), "crop": 6400, "budget": 1.6, "resample": True, "dev_items": 2},
        "trainer": {"name": "codec", "discriminators": [JUDGE], "discriminator_start": 37},
        "optim": {"lr": 2e-3, "betas": [0.8, 0.99]},
        "engine": {"steps": 40, "validate_every": 40, "log_every": 5, "device": "cpu", "monitor": "mel"},
    })  # fmt: skip
    assert train(recipe, tmp_path / "run") is not None
    lines = [line for line in RunFolder(tmp_path / "run").curve() if "codec/mel" in line]
    assert lines[-1]["codec/mel"] < 0.92 * lines[0]["codec/mel"]  # measured: 0.83
    assert lines[-1]["codec/perplexity"] > 10  # of 32 entries; measured: 20
    assert "discriminator/loss" not in lines[0] and lines[-1]["discriminator/loss"] > 0
