"""CheapTrick, the spectral envelope of WORLD, for all frames at once: pyworld's numbers, sooner.

Morise: "CheapTrick, a spectral envelope estimator for high-quality speech synthesis", Speech Communication 67 (2015):
a window of three periods makes the power free of temporal change (section 3.1), a moving average over two thirds of F0
of its harmonics (3.2), and lifters of the logarithm take out what is left of them (3.3).
Deviation from pyworld: where it adds random numbers of 1e-12 to keep clear of log(0), a constant is added, so that
digital silence has a flat envelope, and always the same.
"""

import math

import numpy as np

from amphion_core.features.f0_dio import FMIN
from amphion_eval.analysis.signals import Array, Samples

UNVOICED = 500.0  # Hz, which stands for F0 where there is none, or none that the FFT can resolve
RECOVERY = -0.15  # q1 of the paper's equation for the lifter that undoes the smoothing
TINY = float(np.finfo(np.float64).eps)  # power added before the logarithm
BLOCK = 128  # frames at a time, so that memory does not grow with the recording


def default_fft_size(rate: int) -> int:
    """The size of the FFT that WORLD takes at ``rate`` Hz, so that 71 Hz can be resolved.

    >>> default_fft_size(24000)
    1024
    """
    return 1 << (1 + int(math.log2(3 * rate / FMIN + 1)))


def cheaptrick(samples: Samples, f0: Samples, times: Samples, rate: int, n_fft: int) -> Samples:
    """(T,), F0 (N,) in Hz, times (N,) in seconds -> cepstrum of ln |H|^2, (N, n_fft / 2 + 1): ``irfft`` of it."""
    lowest = 3 * rate / (n_fft - 3)
    f0 = np.where(f0 > lowest, f0, UNVOICED)
    found = np.empty((len(f0), n_fft // 2 + 1))
    order = np.argsort(f0)  # the windows of a block are of about one length then
    for start in range(0, len(f0), BLOCK):
        part = order[start : start + BLOCK]
        found[part] = _cepstra(samples, f0[part, None], times[part, None], rate, n_fft)
    return found


def _cepstra(samples: Samples, f0: Samples, times: Samples, rate: int, n_fft: int) -> Samples:
    """F0 and times as columns (N, 1) -> (N, n_fft / 2 + 1)."""
    bins, f0_bins = n_fft // 2 + 1, f0 * n_fft / rate
    power = _power(samples, f0, times, rate, n_fft)
    smooth = _smoothed(_raised(power, f0_bins), f0_bins * 2 / 3) + TINY
    cepstrum = np.fft.irfft(np.log(smooth))[:, :bins]
    sines = _turns(f0 / (2 * rate), bins)[:, 1:].imag
    cepstrum[:, 1:] *= sines / (np.pi * f0 / rate * np.arange(1, bins)) * (1 - 4 * RECOVERY * np.square(sines))
    return cepstrum


def _power(samples: Samples, f0: Samples, times: Samples, rate: int, n_fft: int) -> Samples:
    """Power spectra (N, n_fft / 2 + 1) of three periods in a Hann window of unit energy, without their mean."""
    half = np.floor(1.5 * rate / f0 + 0.5)
    offsets = np.arange(int(half.max()) + 1)
    window = np.where(offsets <= half, 0.5 + 0.5 * _turns(f0 / (3 * rate), len(offsets)).real, 0)
    window = np.concatenate([window[:, :0:-1], window], 1)
    window /= np.sqrt(np.square(window).sum(1, keepdims=True))
    first = np.floor(times * rate + 0.501).astype(np.int64) - offsets[-1]
    frames = samples[(first + np.arange(window.shape[1])).clip(0, len(samples) - 1)] * window
    frames -= window * (frames.sum(1, keepdims=True) / window.sum(1, keepdims=True))
    spectra = np.fft.rfft(frames, n_fft)
    return np.square(spectra.real) + np.square(spectra.imag)


def _raised(power: Samples, f0_bins: Samples) -> Samples:
    """Below F0 there is nothing but what leaks from it: the mirror image about F0 / 2 is added."""
    mirrored = f0_bins - np.arange(int(f0_bins.max()) + 1)  # (N, bins), negative where a frame's F0 is passed
    low = np.maximum(mirrored.astype(np.int64), 0)
    below, above = np.take_along_axis(power, low, 1), np.take_along_axis(power, low + 1, 1)
    raised = power.copy()
    raised[:, : low.shape[1]] += np.where(mirrored >= 0, below + (above - below) * (mirrored - low), 0)
    return raised


def _smoothed(power: Samples, width: Samples) -> Samples:
    """Moving average of (N, bins) over ``width`` bins, (N, 1), not whole ones; the spectrum is even and periodic."""
    edge = int(width.max()) + 2
    sums = np.pad(power, ((0, 0), (edge, edge)), mode="reflect").cumsum(1)  # up to the upper end of each bin
    upper, lower = (_shifted(sums, edge - 0.5 + side * width / 2, power.shape[1]) for side in (1, -1))
    return (upper - lower) / width


def _shifted(sums: Samples, start: Samples, count: int) -> Samples:
    """``count`` numbers of each row from the fractional place ``start`` (N, 1) on, linearly interpolated."""
    whole = np.floor(start).astype(np.int64)
    rows = np.take_along_axis(sums, whole + np.arange(count + 1), 1)
    return rows[:, :-1] + np.diff(rows) * (start - whole)


def _turns(frequency: Samples, count: int) -> Array:
    """exp(2 pi i f n), n = 0, 1, ... below ``count``, f (N, 1): (N, count); of products, since a sine takes longer."""
    step = math.isqrt(count) + 1
    fine = np.exp(2j * np.pi * frequency * np.arange(step))
    coarse = np.exp(2j * np.pi * frequency * step * np.arange(-(-count // step)))
    return (coarse[:, :, None] * fine[:, None, :]).reshape(len(frequency), -1)[:, :count]
