"""The check of a discriminator's input."""

from torch import Tensor

from amphion_core.errors import AudioError


def check_wave(wave: Tensor, *, shortest: int) -> None:
    """Raise AudioError unless ``wave`` is (B, 1, T) with at least ``shortest`` samples."""
    if wave.ndim != 3 or wave.shape[1] != 1:
        raise AudioError(
            f"a wave of shape {tuple(wave.shape)}: discriminators take (B, 1, T)", hint="give wave[:, None]"
        )
    if wave.shape[2] < shortest:
        raise AudioError(f"{wave.shape[2]} samples are too few: at least {shortest} are needed", hint="raise data.crop")
