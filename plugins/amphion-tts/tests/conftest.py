"""A tiny untrained VITS that stands in for a voice."""

import pytest
import torch

from amphion_core import weights
from amphion_core.registry import get

LETTERS = ("_", *" .,!?'-", *"abcdefghijklmnopqrstuvwxyz")


@pytest.fixture(scope="session")
def save_voice():
    """A function that writes the weights folder of a tiny VITS, which reads plain characters."""

    def save(folder, **changes):
        vits = get("models", "tts/vits")
        fields = vits.example_config().model_dump(mode="json")
        fields |= {"frontend": {"name": "characters", "symbols": LETTERS, "blank": "_"}, "vocabulary": None, **changes}
        torch.manual_seed(0)
        return weights.save(vits(vits.Config(**fields)), folder)

    return save


@pytest.fixture(scope="session")
def voice(save_voice, tmp_path_factory):
    """The folder of a voice of one speaker."""
    return save_voice(tmp_path_factory.mktemp("voice") / "tiny", n_speakers=1)


@pytest.fixture(scope="session")
def two_speakers(save_voice, tmp_path_factory):
    """The folder of a voice of the speakers ann and ben."""
    return save_voice(tmp_path_factory.mktemp("voice") / "two", speakers=("ann", "ben"))
