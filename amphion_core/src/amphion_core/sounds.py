"""Where a recording has sound, and whether it is clipped. Imports no torch."""

from typing import Any

import numpy as np

from amphion_core.audio import Samples

QUIET = 50.0  # dB below the loudest frame, from where on a frame is silent
FRAME, HOP = 2048, 512  # samples, of librosa's measure of the level
NEAR_PEAK = 0.98  # of the peak, where flat tops are looked for
FAINT = 0.1  # peak below which equal samples come from rounding to 16 bits

Numbers = np.ndarray[Any, np.dtype[np.int64]]


def sounding(samples: Samples, *, quiet: float = QUIET, frame: int = FRAME, hop: int = HOP) -> Numbers:
    """First and last sample, exclusive, of every part that is not silent, (M, 2).

    A frame is silent if its level is ``quiet`` dB below that of the loudest frame. ``frame`` is a multiple of ``hop``,
    both in samples. The parts are those of ``librosa.effects.split``, which would need four times the memory of the
    recording.
    """
    level = _levels(samples, frame, hop)
    loud = level > level.max(initial=0.0) * 10 ** (-quiet / 10)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(np.int8), [0]])))
    return np.minimum(edges.reshape(-1, 2) * hop, len(samples))


def _levels(samples: Samples, frame: int, hop: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean square of frames of ``frame`` samples, centred on every ``hop``-th sample, with zeros around all samples."""
    count = len(samples) // hop + 1
    padded = np.zeros((count + frame // hop) * hop, np.float32)
    padded[frame // 2 : frame // 2 + len(samples)] = samples[: len(padded) - frame // 2]
    blocks = np.einsum("ij,ij->i", padded.reshape(-1, hop), padded.reshape(-1, hop), dtype=np.float64)
    sums = np.concatenate([[0.0], blocks.cumsum()])
    return (sums[frame // hop :] - sums[: -frame // hop])[:count] / frame


def clipped(samples: Samples) -> float:
    """The share of samples (T,) that lie in flat tops near the peak: runs of at least three equal samples."""
    peak = float(np.abs(samples).max(initial=0.0))
    equal = (np.abs(samples[1:]) >= NEAR_PEAK * peak) & (np.diff(samples) == 0)
    middle = equal[1:] & equal[:-1]
    flat = np.zeros(len(samples), bool)
    for shift in range(3):
        flat[shift : shift + len(middle)] |= middle
    return float(flat.mean()) if peak > FAINT else 0.0
