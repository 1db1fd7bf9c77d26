"""The card of a trained model: what it was trained on, what it started from, and their licences."""

import numpy as np
import pytest
import soundfile

from amphion_core import recipe as recipes
from amphion_core.cli.main import main
from amphion_core.training.origins import origins
from amphion_core.training.run import train

CODEC = {"name": "codec/encodec", "sample_rate": 8000, "filters": 2, "dim": 4, "strides": [4, 4], "lstm_layers": 0,
         "codebooks": 2, "codebook_size": 8}  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    """A prepared folder of three noises, whose licence is stated."""
    random = np.random.default_rng(0)
    (tmp_path / "noises").mkdir()
    for name in "abc":
        soundfile.write(tmp_path / "noises" / f"{name}.wav", random.uniform(-0.5, 0.5, 8000), 8000)
    words = ["prepare", "folder", tmp_path / "noises", tmp_path / "prepared", "licence=CC BY 4.0, Ann Example"]
    assert main([*map(str, words), "dev=0", "test=0", "--processes", "1"]) == 0
    return tmp_path / "prepared"


def make(root, **engine):
    return recipes.check({
        "name": "tiny", "model": CODEC, "data": {"root": str(root), "dev": None, "crop": 2000, "budget": 1.0},
        "trainer": {"name": "codec", "metrics": [], "discriminators": []},
        "engine": {"steps": 1, "device": "cpu", "log_every": 1} | engine,
    })  # fmt: skip


def test_licences_of_data_are_carried_from_run_to_run(corpus, tmp_path):
    first = train(make(corpus), tmp_path / "first")
    text = (first / "card.md").read_text(encoding="utf-8")
    assert "Recipe tiny, 1 step.\n\n## Trained on\n\n* prepared (folder): CC BY 4.0, Ann Example\n" in text
    assert str(tmp_path) not in text and "Started from" not in text
    other = corpus.rename(tmp_path / "others")
    (other / "dataset.yaml").write_text(f"root: {tmp_path / 'noises'}\n")
    second = train(make(other, init_from=str(tmp_path / "first")), tmp_path / "second")
    text = (second / "card.md").read_text(encoding="utf-8")
    assert "* others: licence not stated" in text
    begin = text.partition("## Started from")[2]
    assert "* first: its card says" in begin and "> * prepared (folder): CC BY 4.0, Ann Example" in begin


def test_a_card_gives_its_licences_and_a_checkpoint_those_of_its_run(corpus, tmp_path):
    train(make(corpus), tmp_path / "first")
    given = {
        "model": {"source": "vocoder/hifigan@kathleen"},
        "model.encoder": {"source": str(tmp_path / "first/checkpoints/step-1")},
        "model.decoder": {"source": "codec/none@here"},
    }
    text = origins(make(corpus, init_from=given))
    pytest.importorskip("amphion_voice_kathleen")
    assert "* vocoder/hifigan@kathleen, " in text and ": MIT; its data: " in text and "CC0" in text
    assert "* step-1: its card says" in text and "Ann Example" in text.partition("Started from")[2]
    assert "* codec/none@here: licence not stated" in text
