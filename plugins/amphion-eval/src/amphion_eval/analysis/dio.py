"""DIO, the F0 estimator of WORLD, band by band in vector operations: pyworld's numbers, sooner.

Morise, Kawanishi, Katayose: "Fast and reliable F0 estimation method based on the period extraction of vocal fold
vibration of singing voice and speech", AES 35th Conference, 2009. A band of low-passed signal in which only the
fundamental is left has zero crossings and extrema at even distances: their four intervals are candidates whose spread
is their score. The best band of each frame makes a contour, which is cut where it leaps and carried on at its ends.

Parameters are pyworld's defaults. *Deviations*: the bands are filtered block by block, not in one FFT; in digital
silence, where pyworld sees the rounding errors of that FFT, stands a faint tone.
"""

from functools import lru_cache

import numpy as np
from scipy.fft import irfft, rfft

from amphion_eval.analysis.signals import Array, Samples

FLOOR, CEILING = 71.0, 800.0  # Hz
BANDS = 7  # half octaves from the floor on
TOPS = FLOOR * 2 ** (np.arange(1, BANDS + 1) / 2)  # Hz, the upper end of each band
LOW_CUT = 50.0  # Hz
FRAME = 5.0  # milliseconds
RANGE = 0.1  # change of F0 from frame to frame, relative
WORST = 100000.0  # score where there is no candidate
SHORTEST = 2 * round(1000 / FRAME / FLOOR) + 1  # frames of a voiced stretch
TINY = 1e-12  # added to a divisor


def dio(samples: Samples, rate: int) -> tuple[Samples, Samples]:
    """(T,) -> F0 (N,) in Hz, 0 where unvoiced, and times (N,) in seconds, N = floor(T / rate / 5 ms) + 1."""
    times: Samples = np.arange(int(1000 * len(samples) / rate / FRAME) + 1) * FRAME / 1000  # as WORLD rounds them
    if len(times) <= 2 * SHORTEST:  # the contour starts at zero so far from either end
        return np.zeros(len(times)), times
    bands = [_candidates(band, rate, times, top) for band, top in zip(_filtered(samples, rate), TOPS)]
    candidates, scores = (np.array(rows) for rows in zip(*bands))
    best: Samples = np.take_along_axis(candidates, scores.argmin(0)[None], 0)[0]
    return _fixed(best, candidates), times


@lru_cache(maxsize=4)
def _filters(rate: int) -> tuple[Array, int]:
    """Spectra of the band filters (BANDS, bins) at a power of two, and how many samples they reach to either side."""
    cut, halves = int(rate / LOW_CUT + 0.5), (rate / TOPS / 2 + 0.5).astype(np.int64)
    reach = cut + 2 * int(halves[0])
    size = 1 << (10 * reach).bit_length()
    kernels = np.zeros((BANDS, size))
    for kernel, half in zip(kernels, halves.tolist()):
        kernel[np.arange(-2 * half, 2 * half)] = _nuttall(4 * half)
    spectra = rfft(kernels) * rfft(_without_lows(cut, size))
    spectra[:, 0] = 0  # which rounding has left
    spectra.flags.writeable = False
    return spectra, reach


def _without_lows(cut: int, size: int) -> Samples:
    """The impulse less a Hann window of 2 ``cut`` + 1 samples about it, (size,)."""
    window = np.hanning(2 * cut + 3)[1:-1]
    kernel = np.zeros(size)
    kernel[np.arange(-cut, cut + 1)] = -window / window.sum()
    kernel[0] += 1
    return kernel


def _nuttall(length: int) -> Samples:
    turns = 2 * np.pi * np.arange(length)[:, None] / (length - 1) * np.arange(4)
    window: Samples = np.cos(turns) @ np.array([0.355768, -0.487396, 0.144232, -0.012604])
    return window


def _filtered(samples: Samples, rate: int) -> Samples:
    """(T,) -> the bands (BANDS, T + 1), filtered block by block."""
    spectra, reach = _filters(rate)
    size, length = 2 * (spectra.shape[1] - 1), len(samples) + 1  # DIO counts one sample more
    step = size - 2 * reach
    padded = np.zeros(length + size)
    padded[reach : reach + len(samples)] = samples
    padded[reach : reach + length] -= samples.sum() / length
    blocks = np.lib.stride_tricks.sliding_window_view(padded, size)[:length:step]
    bands = np.empty((BANDS, len(blocks) * step))
    rustle = size * 1e-16 * float(np.abs(samples).max())
    for number, block in enumerate(blocks):
        product = spectra * rfft(block)
        product[:, size // 5] += rustle  # a faint tone, lest intervals span digital silence
        bands[:, number * step : (number + 1) * step] = irfft(product)[:, reach : reach + step]
    return bands[:, :length]


def _crossings(signal: Samples) -> tuple[Samples, Samples]:
    """Where the signal falls through zero, and where it rises, in samples and fractions of them."""
    positive = signal > 0
    edges = np.flatnonzero(positive[1:] != positive[:-1])
    before, after = signal[edges], signal[edges + 1]
    places = edges + 1 - before / (after - before)
    return places[after <= 0], places[after > 0]


def _candidates(band: Samples, rate: int, times: Samples, top: float) -> tuple[Samples, Samples]:
    """One band (T,) -> the mean of the four kinds of intervals as F0, and their relative deviation."""
    events = *_crossings(band), *_crossings(np.diff(band))
    if min(map(len, events)) < 4:  # three intervals
        return np.zeros(len(times)), np.full(len(times), WORST / TINY)
    found = np.array([_interpolated(event, rate, times) for event in events])
    f0 = found.mean(0)
    deviation = np.sqrt(np.square(found - f0).sum(0) / 3)
    good = (f0 <= top) & (f0 >= top / 2) & (f0 <= CEILING) & (f0 >= FLOOR)
    f0 = np.where(good, f0, 0)
    return f0, np.where(good, deviation, WORST) / (f0 + TINY)


def _interpolated(crossings: Samples, rate: int, times: Samples) -> Samples:
    """1 / interval, Hz, of the middles of intervals, at the frames; straight on beyond the ends."""
    hertz = rate / np.diff(crossings)
    middles = (crossings[:-1] + crossings[1:]) / (2 * rate)
    place = np.searchsorted(middles, times, side="right").clip(1, len(middles) - 1)
    share = (times - middles[place - 1]) / (middles[place] - middles[place - 1])
    found: Samples = hertz[place - 1] + share * (hertz[place] - hertz[place - 1])
    return found


def _fixed(best: Samples, candidates: Samples) -> Samples:
    """The best candidates (N,) -> a contour without leaps and short stretches, its ends carried on."""
    inside = best.copy()
    inside[:SHORTEST] = inside[-SHORTEST:] = 0
    change = np.abs(np.diff(inside, prepend=0) / (inside + TINY))
    steady = np.where(change < RANGE, inside, 0)
    half = (SHORTEST - 1) // 2
    f0 = np.zeros(len(best))
    whole = np.lib.stride_tricks.sliding_window_view(steady != 0, SHORTEST).all(1)
    f0[half:-half][whole] = steady[half:-half][whole]
    turns = np.diff((f0 != 0).astype(np.int8))
    last, first = np.flatnonzero(turns < 0), np.flatnonzero(turns > 0) + 1
    _carry_on(f0, candidates, last, np.append(last[1:], len(f0) - 1), 1)
    _carry_on(f0, candidates, first[::-1], np.append(first[-2::-1], 1), -1)
    return f0


def _carry_on(f0: Samples, candidates: Samples, starts: Array, limits: Array, step: int) -> None:
    """From each start in steps of 1 or -1 the candidate nearest to a straight line, as long as one is near."""
    for start, limit in zip(starts.tolist(), limits.tolist()):
        for place in range(start, limit, step):
            wanted = (3 * f0[place] - f0[place - step]) / 2
            choices = candidates[:, place + step]
            nearest = choices[np.abs(choices - wanted).argmin()]
            f0[place + step] = nearest if abs(nearest - wanted) <= RANGE * abs(wanted) else 0
            if not f0[place + step]:
                break
