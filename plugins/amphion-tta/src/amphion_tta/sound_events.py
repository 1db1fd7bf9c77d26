"""Finds where sounds begin and end in a recording, by the energy of short frames. Letters: T samples, N frames."""

from typing import Any

import numpy as np
from pydantic import Field

from amphion_core.api import BaseConfig
from amphion_core.errors import DataError

Samples = np.ndarray[Any, np.dtype[np.float32]]

FRAME, HOP = 0.02, 0.01  # seconds of a frame, and between two frames
QUIETEST = -100.0  # dB, the level of digital silence
_FLOOR = 0.1  # share of the frames that are background at least


class EnergyDetector(BaseConfig):
    """What counts as a sound. Levels are those of frames of 20 ms."""

    below_peak: float = Field(
        default=25.0, gt=0, le=90, description="a sound is at most this many dB under the loudest frame"
    )
    above_floor: float = Field(
        default=10.0, ge=0, le=90, description="a sound is at least this many dB above the quietest tenth of the frames"
    )
    quietest: float = Field(
        default=-60.0, ge=QUIETEST, lt=0, description="what is quieter is silence, dB of full scale"
    )
    gap: float = Field(default=0.2, ge=0, le=10, description="shorter silence belongs to the sound around it, seconds")
    shortest: float = Field(default=0.05, ge=0, le=10, description="shorter sounds are left out, seconds")

    def find(self, samples: Samples, rate: int) -> list[tuple[float, float]]:
        """(start, end) in seconds of each sound in mono samples (T,) at ``rate`` Hz, in order of time.

        Raises DataError for samples that are not finite.
        """
        if not np.isfinite(samples).all():
            raise DataError("the audio has samples that are not finite", hint="generate or record it again")
        level = levels(samples, rate)
        if not level.size or level.max() < self.quietest:
            return []
        peak, floor = float(level.max()), float(np.quantile(level, _FLOOR))
        above = min(floor + self.above_floor, peak - self.above_floor)  # the second for a recording without pauses
        threshold = max(peak - self.below_peak, self.quietest, above)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (level >= threshold).astype(np.int8), [0]])))
        found: list[tuple[float, float]] = []
        for first, last in edges.reshape(-1, 2) * HOP:
            if found and first - found[-1][1] < self.gap:
                found[-1] = found[-1][0], float(last)
            else:
                found.append((float(first), float(last)))
        whole = len(samples) / rate
        return [(start, min(end, whole)) for start, end in found if end - start >= self.shortest]


def levels(samples: Samples, rate: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Level of each frame in dB of full scale: (T,) -> (N,), N = ceil(T / hop). Frame n begins at n * hop samples."""
    hop, frame = round(HOP * rate), round(FRAME * rate)
    if not len(samples):
        return np.zeros(0)
    count = -(-len(samples) // hop)
    power = np.square(np.pad(samples.astype(np.float64), (0, (count - 1) * hop + frame - len(samples))))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(count) * hop
    mean = np.maximum(sums[starts + frame] - sums[starts], 0.0) / frame
    return np.asarray(10 * np.log10(np.maximum(mean, 10 ** (QUIETEST / 10))))
