"""Samples of a pair of recordings for metrics of signals: mono, checked, cut to one length."""

from typing import Any, Literal

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import DataError

Definition = Literal["ours", "amphion_v01"]
DEFINITION = "ours, or amphion_v01: that of Amphion v0.1, for numbers comparable with the tables of its paper"
Array = np.ndarray[Any, np.dtype[Any]]
Samples = np.ndarray[Any, np.dtype[np.float64]]


def mono(audio: Audio, *, what: str) -> Samples:
    """The samples as float64 (T,), channels averaged. Raises DataError for empty, not finite and silent audio."""
    samples = audio.mono().samples.astype(np.float64)
    if not samples.size:
        raise DataError(f"the {what} audio is empty")
    if not np.isfinite(samples).all():
        raise DataError(f"the {what} audio has samples that are not finite")
    if not samples.any():
        raise DataError(f"the {what} audio is silent")
    return samples


def pair(generated: Audio, reference: Audio | None, *, cut: bool = True) -> tuple[Samples, Samples]:
    """The samples of generated and reference, (T,) each; with ``cut`` both have the length of the shorter one.

    Raises DataError without a reference, for different sample rates, and for audio that `mono` refuses.
    """
    reference = required(reference)
    if generated.sample_rate != reference.sample_rate:
        rates = f"{generated.sample_rate} and {reference.sample_rate} Hz"
        raise DataError(f"generated and reference have different sample rates: {rates}", hint="resample one of them")
    one, other = mono(generated, what="generated"), mono(reference, what="reference")
    size = min(len(one), len(other)) if cut else None
    return one[:size], other[:size]


def pearson(x: Samples, s: Samples, *, what: str) -> float:
    """Pearson correlation of two sequences (N,). Raises DataError if one of them is constant."""
    x, s = x - x.mean(), s - s.mean()
    scale = float(np.linalg.norm(x) * np.linalg.norm(s))
    if not scale:
        raise DataError(f"the {what} is constant, so its correlation is not defined")
    return float(np.clip(x @ s / scale, -1, 1))


def required(reference: Audio | None) -> Audio:
    """The reference itself. Raises DataError if it is None."""
    if reference is None:
        raise DataError("a reference audio is needed")
    return reference
