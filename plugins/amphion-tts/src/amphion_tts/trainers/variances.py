"""Pitch and energy of recordings as FastSpeech 2 learns them: without gaps, normalised, one value for each token."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from amphion_core.features.f0 import interpolate_f0, voiced

if TYPE_CHECKING:
    from amphion_tts.models.fastspeech2 import FastSpeech2


def normalised_pitch(f0: Tensor, config: "FastSpeech2.Config") -> Tensor:
    """F0 (B, N) in Hz, 0 where unvoiced, -> normalised pitch (B, N); the mean where an item has no voiced frame.

    Unvoiced frames lie on a line between their voiced neighbours. Values beyond ``config.pitch_range`` get its limits,
    because they are mostly errors of the tracker.
    """
    assert config.pitch_mean is not None and config.pitch_std is not None
    values = (interpolate_f0(f0) - config.pitch_mean) / config.pitch_std
    return torch.where(voiced(f0).any(1, keepdim=True), values, 0.0).clamp(*config.pitch_range)


def normalised_energy(energy: Tensor, config: "FastSpeech2.Config") -> Tensor:
    """Energy (B, N) -> normalised energy (B, N), within ``config.energy_range``."""
    assert config.energy_mean is not None and config.energy_std is not None
    return ((energy - config.energy_mean) / config.energy_std).clamp(*config.energy_range)


def token_means(values: Tensor, durations: Tensor) -> Tensor:
    """The mean of frame values (B, N) over the frames of each token; durations (B, L) -> (B, L).

    A token without frames gets the value of the frame at its border.
    """
    sums = torch.nn.functional.pad(values.double().cumsum(1), (1, 0))  # (B, N + 1)
    ends = durations.cumsum(1)
    starts = (ends - durations).clamp(max=values.shape[1] - 1)
    ends = torch.maximum(ends, starts + 1).clamp(max=values.shape[1])
    return ((sums.gather(1, ends) - sums.gather(1, starts)) / (ends - starts)).to(values.dtype)
