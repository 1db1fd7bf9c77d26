"""Recordings that a model changes: which spans, and how the result joins what stays."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from amphion_core.audio import Samples
from amphion_core.errors import DataError

FADE = 0.02  # seconds at each end of a span over which recording and new sound are mixed


def check_regions(regions: Sequence[tuple[float, float]], duration: float) -> None:
    """Raise DataError for spans that overlap or lie outside of a recording of ``duration`` seconds."""
    ordered = sorted(regions)
    for start, end in ordered:
        if start < 0 or end > duration:
            raise DataError(
                f"the span {start:g}-{end:g} is not inside the recording of {duration:.2f} seconds",
                hint=f"give a span inside 0-{duration:.2f}",
            )
    for first, second in pairwise(ordered):
        if first[1] > second[0]:
            raise DataError(
                f"the spans {first[0]:g}-{first[1]:g} and {second[0]:g}-{second[1]:g} overlap",
                hint="join them into one span",
            )


def joined(recording: Samples, made: Samples, regions: Sequence[tuple[float, float]], sample_rate: int) -> Samples:
    """The recording (T,) with ``made`` (T',) inside the spans, and short fades at their ends; (T,).

    Samples outside the spans are those of the recording. Without spans it is ``made``, cut or extended to T.
    """
    size = len(recording)
    made = np.pad(made[:size], (0, max(0, size - len(made))))
    if not regions:
        return made
    share = np.zeros(size, np.float32)  # of the new sound
    for start, end in regions:
        left, right = round(start * sample_rate), min(size, round(end * sample_rate))
        count = right - left
        ramp = np.minimum(np.arange(1, count + 1), np.arange(count, 0, -1)) / max(1, round(FADE * sample_rate))
        share[left:right] = np.minimum(1, ramp)
    return (recording + (made - recording) * share).astype(np.float32)
