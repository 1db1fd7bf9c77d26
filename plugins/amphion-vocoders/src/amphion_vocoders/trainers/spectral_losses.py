"""APNet's losses between predicted and recorded spectra. Every loss is one value for each item, (B,).

Ai and Ling: "APNet", arXiv:2305.07952, section III-D; for the form of the phase losses also Du et al.: "APNet2",
arXiv:2311.11545, section 3. The finite differences of a phase begin with the phase itself, as in the authors' code.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from amphion_vocoders.models.amplitude_phase import Spectra

PhaseForm = Literal["cosine", "absolute"]


def amplitude_loss(made: Spectra, real: Spectra) -> Tensor:
    """Mean squared difference of the log amplitudes."""
    return _mean((made.log_amplitude - real.log_amplitude).square())


def phase_losses(made: Tensor, real: Tensor, form: PhaseForm) -> tuple[Tensor, Tensor, Tensor]:
    """Phases (B, bins, N) -> losses of the phase, of the group delay, and of the phase's difference over time.

    The group delay is the difference of neighbouring bins. ``form``: see `_wrapped`.
    """
    return (
        _mean(_wrapped(made - real, form)),
        _mean(_wrapped(_difference(made, 1) - _difference(real, 1), form)),
        _mean(_wrapped(_difference(made, 2) - _difference(real, 2), form)),
    )


def consistency_loss(made: Spectra, again: Tensor) -> Tensor:
    """Mean squared distance of predicted spectra from the complex ones of the wave that they make, ``again``."""
    return _mean((made.real - again.real).square() + (made.imaginary - again.imag).square())


def part_losses(made: Spectra, real: Spectra) -> tuple[Tensor, Tensor]:
    """Mean absolute differences of the real and of the imaginary parts."""
    return _mean((made.real - real.real).abs()), _mean((made.imaginary - real.imaginary).abs())


def _wrapped(difference: Tensor, form: PhaseForm) -> Tensor:
    """A loss of each difference of phases that does not change with whole turns.

    cosine: minus the cosine, from -1 to 1 (APNet). absolute: distance to the nearest whole turn, from 0 to pi (APNet2).
    """
    if form == "cosine":
        return -difference.cos()
    turn = 2 * math.pi
    return (difference - turn * (difference / turn).round()).abs()


def _difference(phase: Tensor, dim: int) -> Tensor:
    """Each value minus the one before it along ``dim``; minus 0 for the first."""
    return torch.diff(phase, dim=dim, prepend=torch.zeros_like(phase.narrow(dim, 0, 1)))


def _mean(values: Tensor) -> Tensor:
    """(B, bins, N) -> (B,)."""
    return values.mean((1, 2))
