"""Align the frames of two recordings: one by one, cut to the shorter one, or by dynamic time warping."""

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, Samples

Alignment = Literal["none", "cut", "dtw"]
Path = np.ndarray[tuple[int, int], np.dtype[np.int64]]
MAX_CELLS = 1 << 26  # of the cost matrix, 1.6 GB while it is computed: two recordings of 40 s in frames of 5 ms

ALIGNMENT = "none: equal lengths are needed; cut: the longer one is cut; dtw: dynamic time warping"


def pairs(alignment: Alignment, a: Array, b: Array) -> Path:
    """Pairs of frames that belong together: a (N, D) and b (M, D) -> frame numbers (P, 2).

    Raises DataError as `warp_path` does, and for different lengths with the alignment "none".
    """
    if alignment == "dtw":
        return warp_path(a, b)
    if alignment == "none" and len(a) != len(b):
        raise DataError(
            f"{len(a)} and {len(b)} frames cannot be compared one by one", hint="--set METRIC.alignment=cut"
        )
    return np.repeat(np.arange(min(len(a), len(b)))[:, None], 2, 1)


def align_curves(alignment: Alignment, a: Samples, b: Samples) -> tuple[Samples, Samples]:
    """Two curves (N,), (M,) -> their values in aligned frames, (P,) each; "dtw" aligns by value. Raises DataError."""
    path = pairs(alignment, a[:, None], b[:, None])
    return a[path[:, 0]], b[path[:, 1]]


def warp_path(a: Array, b: Array) -> Path:
    """The cheapest path of dynamic time warping, (N, D), (M, D) -> (P, 2).

    The cost is the Euclidean distance; steps are (1, 0), (0, 1) and (1, 1). Of equally cheap steps the diagonal is
    preferred, then a step in the shorter recording. Raises DataError for recordings that are empty or too long.
    """
    n, m = len(a), len(b)
    if not n * m:
        raise DataError("there are no frames to align")
    if n * m > MAX_CELLS:
        raise DataError(
            f"{n} and {m} frames are too many to align", hint="cut the files, or --set METRIC.alignment=cut"
        )
    if n > m:  # an anti-diagonal has at most as many cells as the shorter recording has frames
        return warp_path(b, a)[:, ::-1]
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    # Row d of ``total`` is the anti-diagonal d of the cost matrix: the cell (i, d - i) has the index i + 1. The cells
    # before it are in the rows d - 1 and d - 2 at i and i + 1, so a diagonal takes three operations on contiguous rows.
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
