"""Matrix products of a few rows, compiled (numba), for loops that read large weights again and again on a CPU.

BLAS libraries order the weights anew for every product, which takes most of the time when there are few rows. Here the
weights are ordered once, in the order in which they are read. A row has the same result whatever the other rows are.
"""

from typing import Any

import numpy as np

from amphion_vocoders.models.compiled import compile_loop

WIDTH = 64  # columns that are computed together; a constant of the compiled code
TAPS = 4  # rows of the weights that are added together
GROUP = 4  # rows of the input that share what is read of the weights
Array = np.ndarray[Any, np.dtype[np.float32]]


def padded(count: int, multiple: int) -> int:
    """The next multiple from ``count`` on."""
    return -(-count // multiple) * multiple


def panels(matrix: Any) -> Array:
    """A matrix (K, N) in the order in which `multiply` reads it: (N' / 64, K' / 4, 256), filled up with zeros."""
    rows, columns = padded(matrix.shape[0], TAPS), padded(matrix.shape[1], WIDTH)
    full = np.zeros((rows, columns), np.float32)
    full[: matrix.shape[0], : matrix.shape[1]] = matrix
    blocks = full.reshape(rows // TAPS, TAPS, columns // WIDTH, WIDTH).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(blocks).reshape(columns // WIDTH, rows // TAPS, TAPS * WIDTH)


@compile_loop
def multiply(rows: Any, weights: Any, result: Any) -> None:
    """``rows`` (R, K') times ``weights``, as `panels` gives them, to ``result`` (R, N'); R is a multiple of 4.

    ``rows`` may have further columns, which are not read.
    """
    count = len(rows)
    total = np.empty(count * WIDTH, np.float32)
    for panel in range(len(weights)):
        total[:] = 0
        for block in range(weights.shape[1]):
            w = weights[panel, block]
            k = TAPS * block
            for r in range(0, count, GROUP):
                a0, a1, a2, a3 = rows[r, k], rows[r, k + 1], rows[r, k + 2], rows[r, k + 3]
                b0, b1, b2, b3 = rows[r + 1, k], rows[r + 1, k + 1], rows[r + 1, k + 2], rows[r + 1, k + 3]
                c0, c1, c2, c3 = rows[r + 2, k], rows[r + 2, k + 1], rows[r + 2, k + 2], rows[r + 2, k + 3]
                d0, d1, d2, d3 = rows[r + 3, k], rows[r + 3, k + 1], rows[r + 3, k + 2], rows[r + 3, k + 3]
                t = total[r * WIDTH : (r + GROUP) * WIDTH]
                for j in range(WIDTH):
                    w0, w1, w2, w3 = w[j], w[WIDTH + j], w[2 * WIDTH + j], w[3 * WIDTH + j]
                    t[j] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
                    t[WIDTH + j] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
                    t[2 * WIDTH + j] += c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
                    t[3 * WIDTH + j] += d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3
        for r in range(count):
            result[r, panel * WIDTH : (panel + 1) * WIDTH] = total[r * WIDTH : (r + 1) * WIDTH]


# Polynomial for 2^q, |q| up to 1/2: Chebyshev interpolation, error below 1e-7.
_NODES = np.cos(np.pi * (np.arange(7) + 0.5) / 7) / 2
P0, P1, P2, P3, P4, P5, P6 = np.polyfit(_NODES, 2**_NODES, 6)[::-1].astype(np.float32)
PER_LOG_2 = np.float32(1 / np.log(2))
HALF, ONE, TWO, LARGE = np.float32(0.5), np.float32(1), np.float32(2), np.float32(80)
BIAS, SHIFT = np.int32(127), np.int32(23)  # of the exponent of a float32


@compile_loop
def exponential(x: Any) -> Any:
    """e^x of a float32 from -80 to 80; unlike ``np.exp``, the compiler computes several at once."""
    v = min(max(x, -LARGE), LARGE) * PER_LOG_2
    whole = np.floor(v + HALF)
    q = v - whole
    power = np.int32((np.int32(whole) + BIAS) << SHIFT).view(np.float32)
    return power * (P0 + q * (P1 + q * (P2 + q * (P3 + q * (P4 + q * (P5 + q * P6))))))


@compile_loop
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x) of a float32."""
    return ONE / (ONE + exponential(-x))


@compile_loop
def tangent(x: Any) -> Any:
    """The hyperbolic tangent of a float32."""
    return ONE - TWO / (ONE + exponential(TWO * x))
