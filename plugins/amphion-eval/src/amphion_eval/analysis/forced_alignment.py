"""Forced alignment: the frames at which each label of a known text is spoken, by a recogniser with CTC.

Viterbi search through the labels with a blank before, between and after them (Graves et al., "Connectionist Temporal
Classification", 2006, section 4.1): a path stays, moves to the next label, or passes over a blank that does not stand
between two equal labels. It runs in numpy, one step for each frame. torchaudio has the same search as compiled code,
which does not load beside a CPU build of torch.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amphion_core.errors import DataError

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Span:
    """One label: its frames ``first`` to ``end`` - 1, and the mean log-probability of the label in them."""

    first: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word of a text, from ``start`` to ``end`` in seconds. ``probability`` is that of its letters, 0 to 1."""

    word: str
    start: float
    end: float
    probability: float


def align_labels(log_p: Array, labels: Sequence[int], blank: int = 0) -> list[Span]:
    """The most probable spans of ``labels`` (L), none empty, given the log-probabilities ``log_p`` (N, V) of frames.

    Raises DataError when there are no labels, or more labels than the frames can hold.
    """
    repeats = sum(a == b for a, b in itertools.pairwise(labels))
    if not labels or len(log_p) < len(labels) + repeats:
        raise DataError(f"{len(labels)} letters cannot be spoken in {len(log_p)} frames of the recogniser")
    states = np.full(2 * len(labels) + 1, blank)
    states[1::2] = labels
    may_skip = np.zeros(len(states), bool)  # the blank before may be left out
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    scores = log_p[:, states]  # (N, 2L + 1)
    best = np.full(len(states), -np.inf)
    best[:2] = scores[0, :2]
    steps = np.zeros(scores.shape, np.int8)  # how many states the best path came forward
    for frame in range(1, len(scores)):
        one, two = np.full((2, len(states)), -np.inf)
        one[1:] = best[:-1]
        two[2:] = np.where(may_skip[2:], best[:-2], -np.inf)
        options = np.stack([best, one, two])
        steps[frame] = options.argmax(0)
        best = options.max(0) + scores[frame]
    state = len(states) - 1 if best[-1] > best[-2] else len(states) - 2
    path = np.empty(len(scores), int)
    for frame in range(len(scores) - 1, -1, -1):
        path[frame] = state
        state -= steps[frame, state]
    spans = []
    for index in range(len(labels)):
        frames = np.flatnonzero(path == 2 * index + 1)
        spans.append(Span(int(frames[0]), int(frames[-1]) + 1, float(scores[frames, 2 * index + 1].mean())))
    return spans
