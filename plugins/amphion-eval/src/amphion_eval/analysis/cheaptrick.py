"""CheapTrick, the spectral envelope of WORLD, computed for many frames at once: pyworld's numbers in less time.

Morise: "CheapTrick, a spectral envelope estimator for high-quality speech synthesis", Speech Communication 67 (2015):
a window of three periods removes the changes of power within a period (section 3.1), a moving average over two thirds
of F0 removes the harmonics (3.2), and lifters of the logarithm remove the rest of them (3.3).
Deviation from pyworld: against log(0), pyworld adds random numbers of 1e-12; a constant is added here, so digital
silence always has the same flat envelope.
"""

import math

import numpy as np

from amphion_core.features.f0_dio import FMIN
from amphion_eval.analysis.signals import Array, Samples

UNVOICED = 500.0  # Hz, used as F0 where there is no voice, or where F0 is too low for the FFT
RECOVERY = -0.15  # q1 in the paper's equation of the lifter that compensates the smoothing
TINY = float(np.finfo(np.float64).eps)  # power added before the logarithm
BLOCK = 128  # frames computed at a time, so the memory does not grow with the recording


def default_fft_size(rate: int) -> int:
    """The size of the FFT that WORLD uses at ``rate`` Hz, which can resolve an F0 of 71 Hz.

    >>> default_fft_size(24000)
    1024
    """
    return 1 << (1 + int(math.log2(3 * rate / FMIN + 1)))


def cheaptrick(samples: Samples, f0: Samples, times: Samples, rate: int, n_fft: int) -> Samples:
    """The envelope's cepstrum, ``irfft`` of ln |H|^2: (T,), F0 (N,) in Hz, times (N,) in s -> (N, n_fft / 2 + 1)."""
    lowest = 3 * rate / (n_fft - 3)
    f0 = np.where(f0 > lowest, f0, UNVOICED)
    found = np.empty((len(f0), n_fft // 2 + 1))
    order = np.argsort(f0)  # then the windows of a block have similar lengths
    for start in range(0, len(f0), BLOCK):
        part = order[start : start + BLOCK]
        found[part] = _cepstra(samples, f0[part, None], times[part, None], rate, n_fft)
    return found


def _cepstra(samples: Samples, f0: Samples, times: Samples, rate: int, n_fft: int) -> Samples:
    """The cepstra of one block, (N, n_fft / 2 + 1); F0 and times are columns (N, 1)."""
    bins, f0_bins = n_fft // 2 + 1, f0 * n_fft / rate
    power = _power(samples, f0, times, rate, n_fft)
    smooth = _smoothed(_with_mirrored_lows(power, f0_bins), f0_bins * 2 / 3) + TINY
    cepstrum = np.fft.irfft(np.log(smooth))[:, :bins]
    sines = _phases(f0 / (2 * rate), bins)[:, 1:].imag
    cepstrum[:, 1:] *= sines / (np.pi * f0 / rate * np.arange(1, bins)) * (1 - 4 * RECOVERY * np.square(sines))
    return cepstrum


def _power(samples: Samples, f0: Samples, times: Samples, rate: int, n_fft: int) -> Samples:
    """Power spectra (N, n_fft / 2 + 1) of three periods without their mean, in a Hann window with unit energy."""
    half = np.floor(1.5 * rate / f0 + 0.5)
    offsets = np.arange(int(half.max()) + 1)
    window = np.where(offsets <= half, 0.5 + 0.5 * _phases(f0 / (3 * rate), len(offsets)).real, 0)
    window = np.concatenate([window[:, :0:-1], window], 1)
    window /= np.sqrt(np.square(window).sum(1, keepdims=True))
    first = np.floor(times * rate + 0.501).astype(np.int64) - offsets[-1]
    frames = samples[(first + np.arange(window.shape[1])).clip(0, len(samples) - 1)] * window
    frames -= window * (frames.sum(1, keepdims=True) / window.sum(1, keepdims=True))
    spectra = np.fft.rfft(frames, n_fft)
    return np.square(spectra.real) + np.square(spectra.imag)


def _with_mirrored_lows(power: Samples, f0_bins: Samples) -> Samples:
    """Below F0, adds the spectrum mirrored about F0 / 2: the power there only leaks from the first harmonic."""
    mirrored = f0_bins - np.arange(int(f0_bins.max()) + 1)  # (N, bins), negative above a frame's F0
    low = np.maximum(mirrored.astype(np.int64), 0)
    below, above = np.take_along_axis(power, low, 1), np.take_along_axis(power, low + 1, 1)
    raised = power.copy()
    raised[:, : low.shape[1]] += np.where(mirrored >= 0, below + (above - below) * (mirrored - low), 0)
    return raised


def _smoothed(power: Samples, width: Samples) -> Samples:
    """Moving average of (N, bins) over a fractional ``width`` (N, 1) in bins; the spectrum is even and periodic."""
    edge = int(width.max()) + 2
    sums = np.pad(power, ((0, 0), (edge, edge)), mode="reflect").cumsum(1)  # the sum up to the upper end of each bin
    upper, lower = (_shifted(sums, edge - 0.5 + side * width / 2, power.shape[1]) for side in (1, -1))
    return (upper - lower) / width


def _shifted(sums: Samples, start: Samples, count: int) -> Samples:
    """``count`` numbers of each row from the fractional index ``start`` (N, 1) on, linearly interpolated."""
    whole = np.floor(start).astype(np.int64)
    rows = np.take_along_axis(sums, whole + np.arange(count + 1), 1)
    return rows[:, :-1] + np.diff(rows) * (start - whole)


def _phases(frequency: Samples, count: int) -> Array:
    """exp(2 pi i f n) for f (N, 1) and n = 0, 1, ... below ``count``: (N, count).

    Computed as products of a coarse and a fine part, which is faster than a sine for each number.
    """
    step = math.isqrt(count) + 1
    fine = np.exp(2j * np.pi * frequency * np.arange(step))
    coarse = np.exp(2j * np.pi * frequency * step * np.arange(-(-count // step)))
    return (coarse[:, :, None] * fine[:, None, :]).reshape(len(frequency), -1)[:, :count]
