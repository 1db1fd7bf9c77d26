"""Which frames of two recordings belong together: cut to the shorter, or dynamic time warping."""

from typing import Any, Literal

import numpy as np

from amphion_core.errors import DataError
from amphion_eval.signals import Array

Alignment = Literal["none", "cut", "dtw"]
Path = np.ndarray[tuple[int, int], np.dtype[np.int64]]
CELLS = 1 << 26  # of the cost matrix, 0.6 GB: two recordings of 40 s in frames of 5 ms

ALIGNMENT = "none: both need as many frames; cut: to the shorter, by frame time; dtw: by dynamic time warping"


def pairs(alignment: Alignment, a: Array, b: Array) -> Path:
    """Frames a (N, D) and b (M, D) -> (P, 2) frame numbers. Raises DataError: "none" and different lengths."""
    if alignment == "dtw":
        return warp_path(a, b)
    if alignment == "none" and len(a) != len(b):
        raise DataError(f"{len(a)} and {len(b)} frames cannot be compared one by one", hint="set alignment to cut")
    return np.repeat(np.arange(min(len(a), len(b)))[:, None], 2, 1)


def warp_path(a: Array, b: Array) -> Path:
    """The cheapest path of dynamic time warping, (N, D), (M, D) -> (P, 2); Euclidean, steps (1, 0), (0, 1), (1, 1).

    One vector operation an anti-diagonal; ties prefer the diagonal, then a step in a. Raises DataError for recordings
    too long to compare, and for none.
    """
    n, m = len(a), len(b)
    if not n * m:
        raise DataError("there are no frames to align")
    if n * m > CELLS:
        raise DataError(f"{n} and {m} frames are too many to align", hint="cut the files, or set alignment to cut")
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    cost = np.sqrt(np.maximum(squares, 0, out=squares), out=squares).ravel()
    came = np.zeros(n * m, np.int8)  # 0: along the diagonal, 1: from the frame of a before, 2: from that of b
    last = before = np.full(n, np.inf)  # totals of the two diagonals before this one, by the frame of a
    for diagonal in range(n + m - 1):
        low, high = max(0, diagonal - m + 1), min(n, diagonal + 1)
        cells = slice(low * m + diagonal - low, (high - 1) * m + diagonal - high + 2, max(1, m - 1))
        total = np.full(n, np.inf)
        if diagonal:
            start = max(1, low)
            from_a = np.concatenate([np.full(start - low, np.inf), last[start - 1 : high - 1]])
            corner = np.concatenate([np.full(start - low, np.inf), before[start - 1 : high - 1]])
            from_b = last[low:high]
            best = np.minimum(from_a, from_b)
            came[cells] = np.where(corner <= best, 0, np.where(from_a <= from_b, 1, 2))
            total[low:high] = cost[cells] + np.minimum(corner, best)
        else:
            total[0] = cost[0]
        before, last = last, total
    return _trace(came.reshape(n, m))


def _trace(came: np.ndarray[Any, np.dtype[np.int8]]) -> Path:
    row, column = came.shape[0] - 1, came.shape[1] - 1
    path = [(row, column)]
    while row or column:
        step = came[row, column]
        row, column = row - (step != 2), column - (step != 1)
        path.append((row, column))
    return np.array(path[::-1])
