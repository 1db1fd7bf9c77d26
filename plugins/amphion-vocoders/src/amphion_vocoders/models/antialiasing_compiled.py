"""BigVGAN's anti-aliased activation as compiled loops (numba), for CPUs; equal to the torch operations to rounding.

The torch operations write six intermediate signals, most of them at twice the rate. Here a short piece of the signal at
twice the rate stays in the cache, as its even and its odd samples, and nothing else is written. The backward pass
computes that piece again instead of storing it.

With f the 12 taps, the even samples at twice the rate are u[2t] = 2 sum_k f[11 - 2k] x[t - 3 + k], the odd ones
u[2t + 1] = 2 sum_k f[10 - 2k] x[t - 2 + k], and y[t] = sum_k f[2k + 1] u[2(t - 2 + k)] + f[2k] u[2(t - 3 + k) + 1],
for k from 0 to 5. Signals are extended by their first and last sample.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numba import njit
from torch import Tensor

from amphion_core.modules.workers import run_pieces, threads_for_pieces
from amphion_vocoders.models.lowpass import lowpass

_TAPS = tuple(np.float32(tap) for tap in lowpass(torch.device("cpu")).tolist())
F0, F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11 = _TAPS  # scalars: constants of the compiled code
TWO = np.float32(2)
HALF = np.float32(0.5)
PER_PI = np.float32(1 / np.pi)
# Polynomials for sin(pi q) / q and cos(pi q) in q^2, |q| up to 1/2: Chebyshev interpolation, error below 3e-7.
_SQUARES = (np.cos(np.pi * (np.arange(7) + 0.5) / 7) + 1) / 8
_ROOTS = np.sqrt(_SQUARES)
S0, S1, S2, S3, S4, S5, S6 = np.polyfit(_SQUARES, np.sin(np.pi * _ROOTS) / _ROOTS, 6)[::-1].astype(np.float32)
C0, C1, C2, C3, C4, C5, C6 = np.polyfit(_SQUARES, np.cos(np.pi * _ROOTS), 6)[::-1].astype(np.float32)
PIECE = 8192  # values at twice the rate that a loop holds; they fit the first cache
OPTIONS: dict[str, Any] = {
    "fastmath": {"contract", "nsz", "arcp", "reassoc"},
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
}


Loop = TypeVar("Loop", bound=Callable[..., Any])


def _compile(loop: Loop) -> Loop:
    """The loop as machine code, made when it is first called and kept on disk; it runs without Python's lock."""
    made: Loop = njit(**OPTIONS)(loop)
    return made


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, amplitude: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, a, amplitude)
        result = torch.empty_like(x)
        _run_on_channels(_forward, x, a, amplitude, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, a, amplitude = ctx.saved_tensors
        result, of_a, of_amplitude = torch.empty_like(x), torch.empty_like(a), torch.empty_like(amplitude)
        _run_on_channels(_backward, x, a, amplitude, gradients[0].contiguous(), result, of_a, of_amplitude)
        return result, of_a, of_amplitude


def activation(x: Tensor, a: Tensor, amplitude: Tensor) -> Tensor:
    """The activation of x (B, C, T) with factors (C), float32 on a CPU -> (B, C, T); differentiable once."""
    result: Tensor = _Activation.apply(x, a, amplitude)  # type: ignore[no-untyped-call]
    return result


def activate_rows(x: Tensor, a: Tensor, amplitude: Tensor, y: Tensor) -> None:
    """The activation of x (T, C), whose channels lie side by side, written to y (T, C). No gradients."""
    _forward_rows(*(tensor.detach().numpy() for tensor in (x, a, amplitude, y)))


def _run_on_channels(loop: Any, *tensors: Tensor) -> None:
    """Run a loop with each thread on some of the channels."""
    arrays = [tensor.detach().numpy() for tensor in tensors]
    channels = tensors[0].shape[1]
    step = -(-channels // threads_for_pieces())
    run_pieces([
        partial(loop, first, min(first + step, channels), *arrays) for first in range(0, channels, step)
    ])  # fmt: skip


@_compile
def _reduced(v: Any) -> Any:
    """V / pi without its whole part: the sine's square has the period pi."""
    q = v * PER_PI
    return q - np.floor(q + HALF)


@_compile
def _sine(q: Any) -> Any:
    z = q * q
    return q * (S0 + z * (S1 + z * (S2 + z * (S3 + z * (S4 + z * (S5 + z * S6))))))


@_compile
def _cosine(q: Any) -> Any:
    z = q * q
    return C0 + z * (C1 + z * (C2 + z * (C3 + z * (C4 + z * (C5 + z * C6)))))


@_compile
def _even(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """The sum of the odd taps from the last to the first, with six neighbours."""
    return F11 * a + F9 * b + F7 * c + F5 * d + F3 * e + F1 * f


@_compile
def _odd(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """The sum of the even taps from the last to the first, with six neighbours."""
    return F10 * a + F8 * b + F6 * c + F4 * d + F2 * e + F0 * f


@_compile
def _copy_extended(row: Any, start: int, count: int, padded: Any) -> None:
    """padded[i] = row[start + i] for i below ``count``, where positions outside the row are its nearest end."""
    last = row.shape[0] - 1
    first, stop = max(0, -start), min(count, last + 1 - start)
    for i in range(first):
        padded[i] = row[0]
    for i in range(first, stop):
        padded[i] = row[start + i]
    for i in range(max(stop, 0), count):
        padded[i] = row[last]


@_compile
def _forward(first: int, stop: int, x: Any, a: Any, amplitude: Any, y: Any) -> None:
    """x (B, C, T), factors (C) -> y (B, C, T), for the channels from ``first`` to ``stop`` - 1."""
    size = min(PIECE, x.shape[2])
    p, u, v = np.empty(size + 12, np.float32), np.empty(size + 6, np.float32), np.empty(size + 6, np.float32)
    for b in range(x.shape[0]):
        for c in range(first, stop):
            for start in range(0, x.shape[2], size):
                count = min(size, x.shape[2] - start)
                _copy_extended(x[b, c], start - 6, count + 12, p)
                for i in range(count + 6):  # sample start - 3 + i
                    even = TWO * _even(p[i], p[i + 1], p[i + 2], p[i + 3], p[i + 4], p[i + 5])
                    odd = TWO * _odd(p[i + 1], p[i + 2], p[i + 3], p[i + 4], p[i + 5], p[i + 6])
                    s, t = _sine(_reduced(a[c] * even)), _sine(_reduced(a[c] * odd))
                    u[i] = even + amplitude[c] * s * s
                    v[i] = odd + amplitude[c] * t * t
                for i in range(3 - start):  # before the first sample
                    u[i] = v[i] = u[3 - start]
                last = x.shape[2] + 2 - start
                for i in range(last + 1, count + 6):  # after the last one
                    u[i] = v[i] = v[last]
                row = y[b, c, start : start + count]
                for i in range(count):
                    even = (
                        F1 * u[i + 1] + F3 * u[i + 2] + F5 * u[i + 3] + F7 * u[i + 4] + F9 * u[i + 5] + F11 * u[i + 6]
                    )
                    odd = F0 * v[i] + F2 * v[i + 1] + F4 * v[i + 2] + F6 * v[i + 3] + F8 * v[i + 4] + F10 * v[i + 5]
                    row[i] = even + odd


@_compile
def _backward(
    first: int, stop: int, x: Any, a: Any, amplitude: Any, of_y: Any, of_x: Any, of_a: Any, of_amplitude: Any
) -> None:
    """Gradient of y (B, C, T) -> gradients of x (B, C, T) and of the factors (C), for some channels."""
    length = x.shape[2]
    p, g = np.empty(length + 12, np.float32), np.zeros(length + 12, np.float32)
    u, v = np.zeros(length + 12, np.float32), np.zeros(length + 12, np.float32)
    for c in range(first, stop):
        sum_a = sum_amplitude = np.float32(0)
        for b in range(x.shape[0]):
            _copy_extended(x[b, c], -6, length + 12, p)
            for i in range(length):
                g[i + 6] = of_y[b, c, i]
            before = after = np.float32(0)  # gradients of the extensions at both ends
            for i in range(3):
                before += _even(g[i], g[i + 1], g[i + 2], g[i + 3], g[i + 4], g[i + 5])
                before += _odd(g[i + 1], g[i + 2], g[i + 3], g[i + 4], g[i + 5], g[i + 6])
                j = length + 3 + i
                after += _even(g[j], g[j + 1], g[j + 2], g[j + 3], g[j + 4], g[j + 5])
                after += _odd(g[j + 1], g[j + 2], g[j + 3], g[j + 4], g[j + 5], g[j + 6])
            for i in range(3, length + 3):  # u[i + 3], v[i + 3]: gradients before Snake; sample i - 3
                u[i + 3] = _even(g[i], g[i + 1], g[i + 2], g[i + 3], g[i + 4], g[i + 5])
                v[i + 3] = _odd(g[i + 1], g[i + 2], g[i + 3], g[i + 4], g[i + 5], g[i + 6])
            u[6] += before
            v[length + 5] += after
            for i in range(3, length + 3):
                even = TWO * _even(p[i], p[i + 1], p[i + 2], p[i + 3], p[i + 4], p[i + 5])
                odd = TWO * _odd(p[i + 1], p[i + 2], p[i + 3], p[i + 4], p[i + 5], p[i + 6])
                q, r = _reduced(a[c] * even), _reduced(a[c] * odd)
                s, t = _sine(q), _sine(r)
                slope_even, slope_odd = TWO * s * _cosine(q), TWO * t * _cosine(r)
                sum_a += amplitude[c] * (u[i + 3] * even * slope_even + v[i + 3] * odd * slope_odd)
                sum_amplitude += u[i + 3] * s * s + v[i + 3] * t * t
                u[i + 3] *= np.float32(1) + amplitude[c] * a[c] * slope_even
                v[i + 3] *= np.float32(1) + amplitude[c] * a[c] * slope_odd
            for i in range(3, length + 9):  # sample i - 6; beyond both ends it belongs to the nearest sample
                even = _even(u[i + 3], u[i + 2], u[i + 1], u[i], u[i - 1], u[i - 2])
                p[i] = TWO * (even + _odd(v[i + 2], v[i + 1], v[i], v[i - 1], v[i - 2], v[i - 3]))
            row = of_x[b, c]
            for i in range(length):
                row[i] = p[i + 6]
            row[0] += p[3] + p[4] + p[5]
            row[length - 1] += p[length + 6] + p[length + 7] + p[length + 8]
        of_a[c], of_amplitude[c] = sum_a, sum_amplitude


@_compile
def _forward_rows(x: Any, a: Any, amplitude: Any, y: Any) -> None:
    """x (T, C), factors (C) -> y (T, C)."""
    length, channels = x.shape
    size = min(max(PIECE // channels, 8), length)
    u, v = np.empty((size + 6, channels), np.float32), np.empty((size + 6, channels), np.float32)
    for start in range(0, length, size):
        count = min(size, length - start)
        for i in range(max(0, 3 - start), min(count + 6, length + 3 - start)):
            t = start - 3 + i
            x0, x1, x2 = x[max(t - 3, 0)], x[max(t - 2, 0)], x[max(t - 1, 0)]
            x3 = x[t]
            x4, x5, x6 = x[min(t + 1, length - 1)], x[min(t + 2, length - 1)], x[min(t + 3, length - 1)]
            ui, vi = u[i], v[i]
            for c in range(channels):
                even = TWO * _even(x0[c], x1[c], x2[c], x3[c], x4[c], x5[c])
                odd = TWO * _odd(x1[c], x2[c], x3[c], x4[c], x5[c], x6[c])
                s, r = _sine(_reduced(a[c] * even)), _sine(_reduced(a[c] * odd))
                ui[c] = even + amplitude[c] * s * s
                vi[c] = odd + amplitude[c] * r * r
        for i in range(3 - start):
            for c in range(channels):
                u[i, c] = v[i, c] = u[3 - start, c]
        last = length + 2 - start
        for i in range(last + 1, count + 6):
            for c in range(channels):
                u[i, c] = v[i, c] = v[last, c]
        for i in range(count):
            u1, u2, u3, u4, u5, u6 = u[i + 1], u[i + 2], u[i + 3], u[i + 4], u[i + 5], u[i + 6]
            v0, v1, v2, v3, v4, v5 = v[i], v[i + 1], v[i + 2], v[i + 3], v[i + 4], v[i + 5]
            row = y[start + i]
            for c in range(channels):
                even = F1 * u1[c] + F3 * u2[c] + F5 * u3[c] + F7 * u4[c] + F9 * u5[c] + F11 * u6[c]
                row[c] = even + F0 * v0[c] + F2 * v1[c] + F4 * v2[c] + F6 * v3[c] + F8 * v4[c] + F10 * v5[c]
