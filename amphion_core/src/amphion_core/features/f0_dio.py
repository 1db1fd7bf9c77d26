"""F0 by DIO, refined by StoneMask: the fast tracker of WORLD, for clean speech.

Morise, Kawahara, Katayose: "Fast and reliable F0 estimation method based on the period extraction of vocal fold
vibration of singing voice and speech", AES 35th Conference, 2009. DIO filters the signal into bands of half an octave.
In a band that contains the fundamental alone, zero crossings and extrema come at regular intervals. The four kinds of
intervals give an F0 candidate, and their spread gives its score. The candidate with the best score is taken in each
frame; then jumps are removed, and voiced stretches are extended at both ends.

`dio` computes all frames of a band at once and gives the numbers of `pyworld.dio`, in less time. StoneMask is that of
`pyworld`: amphion-core[f0].

Deviations from pyworld: the bands are filtered block by block, not by one FFT of the whole recording. In digital
silence pyworld evaluates the rounding errors of that FFT; here a faint tone is added instead.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.fft import irfft, rfft
from torch import Tensor

from amphion_core.features.f0 import STEP, Array, F0Extractor, require_package

FMIN, FMAX = 71.0, 800.0  # Hz, the range that WORLD searches by default
LOW_CUT = 50.0  # Hz, below which WORLD removes everything
MAX_CHANGE = 0.1  # relative change of F0 from one frame to the next
WORST = 100000.0  # score of a frame without a candidate
TINY = 1e-12  # added to divisors, against division by zero

Indices = np.ndarray[Any, np.dtype[np.int64]]


class F0Dio(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. The fastest tracker; it misses frames in noise and creaky voice."""

    needs_packages = ("pyworld",)

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """WORLD's frames of 5 ms. Raises MissingPackage."""
        samples = wave.cpu().numpy().astype(np.float64)
        f0, times = refined_dio(samples, self.sample_rate, fmin=self.config.fmin, fmax=self.config.fmax)
        return times, f0


def refined_dio(samples: Array, rate: int, *, fmin: float = FMIN, fmax: float = FMAX) -> tuple[Array, Array]:
    """DIO's F0, refined by StoneMask: (T,) -> F0 (N,) in Hz, 0 where unvoiced, and times (N,) in seconds.

    Raises MissingPackage without pyworld.
    """
    pyworld = require_package("pyworld", "f0")
    f0, times = dio(samples, rate, fmin=fmin, fmax=fmax)
    return pyworld.stonemask(samples, f0, times, rate), times


def dio(samples: Array, rate: int, *, fmin: float = FMIN, fmax: float = FMAX) -> tuple[Array, Array]:
    """DIO's F0: (T,) -> F0 (N,) in Hz, 0 where unvoiced, and times (N,) in seconds; N = floor(T / rate / 5 ms) + 1."""
    frame = 1000 * STEP  # milliseconds; WORLD computes in them, and its rounding is repeated here
    times: Array = np.arange(int(1000 * len(samples) / rate / frame) + 1) * frame / 1000
    shortest = 2 * int(1000 / frame / fmin + 0.5) + 1
    if len(times) <= 2 * shortest:  # voice is never found in the first and last ``shortest`` frames
        return np.zeros(len(times)), times
    bands = _bands(rate, fmin, fmax)
    found = [
        _candidates(signal, rate, times, top, fmin=fmin, fmax=fmax)
        for signal, top in zip(_filtered(samples, bands), bands.tops.tolist())
    ]
    candidates, scores = (np.array(rows) for rows in zip(*found))
    best: Array = np.take_along_axis(candidates, scores.argmin(0)[None], 0)[0]
    return _contour(best, candidates, shortest), times


class _Bands(NamedTuple):
    """The filters of all bands."""

    tops: Array  # Hz, the upper end of each band, (bands,)
    spectra: np.ndarray[Any, np.dtype[np.complex128]]  # of the impulse responses, (bands, bins)
    reach: int  # samples that the impulse responses extend to either side


@lru_cache(maxsize=4)
def _bands(rate: int, fmin: float, fmax: float) -> _Bands:
    count = 1 + int(2 * np.log2(fmax / fmin))
    tops: Array = fmin * 2 ** (np.arange(1, count + 1) / 2)
    cut, halves = int(rate / LOW_CUT + 0.5), (rate / tops / 2 + 0.5).astype(np.int64)
    reach = cut + 2 * int(halves[0])
    size = 1 << (10 * reach).bit_length()
    kernels = np.zeros((count, size))
    for kernel, half in zip(kernels, halves.tolist()):
        kernel[np.arange(-2 * half, 2 * half)] = _nuttall(4 * half)
    spectra = rfft(kernels) * rfft(_high_pass(cut, size))
    spectra[:, 0] = 0  # rounding leaves a little at 0 Hz
    spectra.flags.writeable = False
    return _Bands(tops, spectra, reach)


def _high_pass(cut: int, size: int) -> Array:
    """An impulse minus a Hann window of 2 ``cut`` + 1 samples, both centred on sample 0, (size,)."""
    window = np.hanning(2 * cut + 3)[1:-1]
    kernel = np.zeros(size)
    kernel[np.arange(-cut, cut + 1)] = -window / window.sum()
    kernel[0] += 1
    return kernel


def _nuttall(length: int) -> Array:
    """The Nuttall window with four terms, (length,)."""
    angles = 2 * np.pi * np.arange(length)[:, None] / (length - 1) * np.arange(4)
    window: Array = np.cos(angles) @ np.array([0.355768, -0.487396, 0.144232, -0.012604])
    return window


def _filtered(samples: Array, bands: _Bands) -> Array:
    """(T,) -> the signal in each band, (bands, T + 1), computed block by block."""
    reach = bands.reach
    size, length = 2 * (bands.spectra.shape[1] - 1), len(samples) + 1  # WORLD's DIO counts one sample more
    step = size - 2 * reach
    padded = np.zeros(length + size)
    padded[reach : reach + len(samples)] = samples
    padded[reach : reach + length] -= samples.sum() / length
    blocks = np.lib.stride_tricks.sliding_window_view(padded, size)[:length:step]
    found = np.empty((len(bands.spectra), len(blocks) * step))
    faint = size * 1e-16 * float(np.abs(samples).max())
    for number, block in enumerate(blocks):
        product = bands.spectra * rfft(block)
        product[:, size // 5] += faint  # a tone, so that digital silence is not one long interval
        found[:, number * step : (number + 1) * step] = irfft(product)[:, reach : reach + step]
    return found[:, :length]


def _crossings(signal: Array) -> tuple[Array, Array]:
    """Times at which the signal falls through zero, and at which it rises through zero, in fractional samples."""
    positive = signal > 0
    edges = np.flatnonzero(positive[1:] != positive[:-1])
    before, after = signal[edges], signal[edges + 1]
    times = edges + 1 - before / (after - before)
    return times[after <= 0], times[after > 0]


def _candidates(signal: Array, rate: int, times: Array, top: float, *, fmin: float, fmax: float) -> tuple[Array, Array]:
    """One band (T,) -> F0 candidates (N,), the mean of the four kinds of intervals, and their relative spread (N,)."""
    events = *_crossings(signal), *_crossings(np.diff(signal))
    if min(map(len, events)) < 4:  # three intervals of each kind are needed
        return np.zeros(len(times)), np.full(len(times), WORST / TINY)
    found = np.array([_interval_f0(event, rate, times) for event in events])
    f0 = found.mean(0)
    deviation = np.sqrt(np.square(found - f0).sum(0) / 3)
    good = (f0 <= top) & (f0 >= top / 2) & (f0 <= fmax) & (f0 >= fmin)
    f0 = np.where(good, f0, 0)
    return f0, np.where(good, deviation, WORST) / (f0 + TINY)


def _interval_f0(crossings: Array, rate: int, times: Array) -> Array:
    """1 / interval in Hz, known at the middles of intervals, linearly inter- and extrapolated to ``times``."""
    hertz = rate / np.diff(crossings)
    middles = (crossings[:-1] + crossings[1:]) / (2 * rate)
    after = np.searchsorted(middles, times, side="right").clip(1, len(middles) - 1)
    share = (times - middles[after - 1]) / (middles[after] - middles[after - 1])
    found: Array = hertz[after - 1] + share * (hertz[after] - hertz[after - 1])
    return found


def _contour(best: Array, candidates: Array, shortest: int) -> Array:
    """The best candidates (N,) without jumps, without stretches below ``shortest`` frames; extended at the ends."""
    inside = best.copy()
    inside[:shortest] = inside[-shortest:] = 0
    change = np.abs(np.diff(inside, prepend=0) / (inside + TINY))
    steady = np.where(change < MAX_CHANGE, inside, 0)
    half = (shortest - 1) // 2
    f0 = np.zeros(len(best))
    whole = np.lib.stride_tricks.sliding_window_view(steady != 0, shortest).all(1)
    f0[half:-half][whole] = steady[half:-half][whole]
    edges = np.diff((f0 != 0).astype(np.int8))
    last, first = np.flatnonzero(edges < 0), np.flatnonzero(edges > 0) + 1
    _extend(f0, candidates, last, np.append(last[1:], len(f0) - 1), 1)
    _extend(f0, candidates, first[::-1], np.append(first[-2::-1], 1), -1)
    return f0


def _extend(f0: Array, candidates: Array, starts: Indices, limits: Indices, step: int) -> None:
    """Extend each stretch from its end in ``starts`` forwards (``step`` 1) or backwards (-1), in place.

    The next frame gets the candidate nearest to the linear extrapolation, as long as one is within MAX_CHANGE of it.
    """
    for start, limit in zip(starts.tolist(), limits.tolist()):
        for frame in range(start, limit, step):
            expected = (3 * f0[frame] - f0[frame - step]) / 2
            choices = candidates[:, frame + step]
            nearest = choices[np.abs(choices - expected).argmin()]
            f0[frame + step] = nearest if abs(nearest - expected) <= MAX_CHANGE * abs(expected) else 0
            if not f0[frame + step]:
                break
