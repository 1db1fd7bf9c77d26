"""Cuts a recording into slices at its silences, so that a model converts each of them in bounded memory."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from amphion_core.audio import Samples
from amphion_core.sounds import FRAME, sounding

LONGEST = 10.0  # seconds of a slice with what is around it
AROUND = 0.5  # seconds of sound that a model also hears before and after a cut inside of a phrase
MARGIN = 0.15  # seconds of silence that stay before and after a sound
GAP = 0.4  # seconds; a shorter silence does not end a slice
FULL = 0.8  # share of the longest slice that a slice of a long sound should have
NEAR = 0.3  # share of a slice by which its length may differ, so that the cut is at a quiet moment


@dataclass(frozen=True, slots=True)
class Slice:
    """Samples ``start`` to ``stop`` of a recording. A model hears ``left`` to ``right``, which contain them."""

    start: int
    stop: int
    left: int
    right: int


def slices_of(samples: Samples, rate: int, step: int, *, longest: float = LONGEST) -> list[Slice]:
    """The slices of a recording (T,), in their order; none for silence. Between them the recording is silent.

    ``start`` and ``left`` are multiples of ``step``. A sound of more than ``longest`` seconds is cut into slices of
    similar length, at quiet moments.
    """
    found: list[Slice] = []
    for start, stop in _sounds(samples, rate, step):
        around = round(AROUND * rate / step) * step
        room = max(step, round(longest * rate / step) * step - 2 * around)
        cuts = [start]
        while (rest := stop - cuts[-1]) > room:
            parts = max(2, math.ceil(rest / (FULL * room)))
            # At least so long that the rest fits into the other slices.
            least = max(rest - (parts - 1) * room, round((1 - NEAR) * rest / parts))
            most = min(room, round((1 + NEAR) * rest / parts))
            first, last = -(-least // step), most // step
            cuts.append(_quietest(samples, cuts[-1] + first * step, cuts[-1] + max(first + 1, last) * step, step))
        cuts.append(stop)
        found += [Slice(a, b, max(start, a - around), min(stop, b + around)) for a, b in pairwise(cuts)]
    return found


def _sounds(samples: Samples, rate: int, step: int) -> list[tuple[int, int]]:
    """The parts that are not silent, with a margin, joined where the silence between them is short."""
    margin, gap = round(MARGIN * rate), round(GAP * rate)
    joined: list[tuple[int, int]] = []
    for start, stop in sounding(samples).tolist():
        start, stop = max(0, start - margin) // step * step, min(len(samples), stop + margin)
        if joined and start - joined[-1][1] < gap:
            start = joined.pop()[0]
        joined.append((start, stop))
    return joined


def _quietest(samples: Samples, first: int, last: int, step: int) -> int:
    """The multiple of ``step`` between two others at which the samples around it are quietest."""
    blocks = np.square(samples[first:last].reshape(-1, step)).sum(1)
    width = min(len(blocks), max(1, FRAME // step))
    level = np.convolve(blocks, np.ones(width), mode="valid")
    return first + (int(level.argmin()) + width // 2) * step
