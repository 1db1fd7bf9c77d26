"""The check of a discriminator's input, and bounds of the numbers in its config."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from amphion_core.errors import AudioError

Size = Annotated[int, Field(gt=0, le=2**20)]
"""A number of samples: a period, a window, a hop."""

Bins = Annotated[int, Field(gt=0, le=512)]
"""A number of frequency bins."""


def check_wave(wave: Tensor, *, shortest: int) -> None:
    """Raise AudioError unless ``wave`` is (B, 1, T) with at least ``shortest`` samples."""
    if wave.ndim != 3 or wave.shape[1] != 1:
        raise AudioError(
            f"a wave of shape {tuple(wave.shape)}: discriminators take (B, 1, T)", hint="give wave[:, None]"
        )
    if wave.shape[2] < shortest:
        raise AudioError(f"{wave.shape[2]} samples are too few: at least {shortest} are needed", hint="raise data.crop")
