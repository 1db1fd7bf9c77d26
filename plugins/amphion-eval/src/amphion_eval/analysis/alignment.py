"""Which frames of two recordings belong together: cut to the shorter, or dynamic time warping."""

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array

Alignment = Literal["none", "cut", "dtw"]
Path = np.ndarray[tuple[int, int], np.dtype[np.int64]]
CELLS = 1 << 26  # of the cost matrix, 1.6 GB while it is made: two recordings of 40 s in frames of 5 ms

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

    Ties prefer the diagonal, then a step in the shorter. Raises DataError for recordings too long to compare, or empty.
    """
    n, m = len(a), len(b)
    if not n * m:
        raise DataError("there are no frames to align")
    if n * m > CELLS:
        raise DataError(f"{n} and {m} frames are too many to align", hint="cut the files, or set alignment to cut")
    if n > m:  # an anti-diagonal has at most as many cells as the shorter recording has frames
        return warp_path(b, a)[:, ::-1]
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    # row d of ``total`` is the anti-diagonal d, cell (i, d - i) standing at i + 1: whatever leads there is in the rows
    # d - 1 and d - 2 at i and i + 1, so that one diagonal takes three operations on contiguous numbers
    total = np.full((n + m - 1, n + 1), np.inf)
    down, right = total.strides
    np.sqrt(np.maximum(squares, 0, out=squares), out=as_strided(total[:, 1:], (n, m), (down + right, down)))
    for diagonal in range(1, n + m - 1):
        last = total[diagonal - 1]
        best = np.minimum(last[1:], last[:-1])
        if diagonal > 1:
            np.minimum(best, total[diagonal - 2, :-1], out=best)
        total[diagonal, 1:] += best
    return _trace(total, n, m)


def _trace(total: Array, n: int, m: int) -> Path:
    i, diagonal = n - 1, n + m - 2
    path = [(i, diagonal - i)]
    while diagonal:
        from_b, from_a = total[diagonal - 1, i + 1], total[diagonal - 1, i]
        corner = total[diagonal - 2, i] if diagonal > 1 else np.inf
        if corner <= min(from_a, from_b):
            i, diagonal = i - 1, diagonal - 2
        else:
            i, diagonal = i - (from_a <= from_b), diagonal - 1
        path.append((i, diagonal - i))
    return np.array(path[::-1])
