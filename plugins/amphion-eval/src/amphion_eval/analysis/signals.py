"""What the signal metrics share: checked mono samples of a pair, cut to one length."""

from typing import Any, Literal

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import DataError

Definition = Literal["ours", "amphion_v01"]
DEFINITION = "ours, or that of the published Amphion v0.1, for numbers comparable with the paper's tables"
Array = np.ndarray[Any, np.dtype[Any]]
Samples = np.ndarray[Any, np.dtype[np.float64]]


def mono(audio: Audio, *, what: str) -> Samples:
    """The samples as float64 (T,), channels averaged. Raises DataError: empty, not finite, or silent."""
    samples = audio.mono().samples.astype(np.float64)
    if not samples.size:
        raise DataError(f"the {what} audio is empty")
    if not np.isfinite(samples).all():
        raise DataError(f"the {what} audio has samples that are not finite")
    if not samples.any():
        raise DataError(f"the {what} audio is silent")
    return samples


def pair(generated: Audio, reference: Audio | None, *, cut: bool = True) -> tuple[Samples, Samples]:
    """(generated, reference) at one rate, with ``cut`` at the shorter one's length. Raises DataError."""
    reference = there(reference)
    if generated.sample_rate != reference.sample_rate:
        rates = f"{generated.sample_rate} and {reference.sample_rate} Hz"
        raise DataError(f"generated and reference have different rates: {rates}", hint="resample one of them")
    one, other = mono(generated, what="generated"), mono(reference, what="reference")
    size = min(len(one), len(other)) if cut else None
    return one[:size], other[:size]


def pearson(x: Samples, s: Samples, *, what: str) -> float:
    """Pearson's r of two sequences. Raises DataError when one of them is constant."""
    x, s = x - x.mean(), s - s.mean()
    scale = float(np.linalg.norm(x) * np.linalg.norm(s))
    if not scale:
        raise DataError(f"the {what} is constant, and its correlation not defined")
    return float(np.clip(x @ s / scale, -1, 1))


def there(reference: Audio | None) -> Audio:
    """The reference. Raises DataError without one."""
    if reference is None:
        raise DataError("a reference audio is needed")
    return reference
