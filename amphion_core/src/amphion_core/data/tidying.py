"""Silence at the ends left out, and loudness evened. Files are not changed: a manifest states span and gain."""

from importlib.util import find_spec

import numpy as np

from amphion_core.errors import DataError

MARGIN = 0.05  # seconds of silence that stay at each end
BLOCK = 0.4  # seconds, the block of the loudness standard
PEAK = 0.99  # highest peak that a gain may cause

Samples = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def check_installed(*, trim: bool, loudness: bool) -> None:
    """Raise DataError where a package is missing that trimming or loudness needs."""
    for wanted, package, what in ((trim, "librosa", "trim"), (loudness, "pyloudnorm", "loudness")):
        if wanted and find_spec(package) is None:
            raise DataError(f"{what} needs the package {package}", hint='pip install "amphion-core[tidy]"')


def speech_span(samples: Samples, rate: int, below: float) -> tuple[int, int]:
    """First sample and end of ``samples`` (T, C) without the parts at both ends that are ``below`` dB under the peak.

    Up to 50 ms of these parts stay. The level is that of librosa's ``trim``, in frames of about 23 ms.
    """
    from librosa.effects import trim

    frame = 1 << round(np.log2(rate * 0.023))
    _, (first, end) = trim(samples.mean(1), top_db=below, frame_length=frame, hop_length=frame // 4)
    margin = round(MARGIN * rate)
    return max(0, int(first) - margin), min(len(samples), int(end) + margin)


def gain_to(loudness: float, samples: Samples, rate: int) -> float:
    """The gain in dB that gives ``samples`` (T, C) an integrated loudness in LUFS (ITU-R BS.1770), if the peak allows.

    A gain above 0 never lifts the peak above 0.99. Raises DataError for audio that the standard calls silent.
    """
    import pyloudnorm

    mono = samples.mean(1)
    block = min(BLOCK, 0.999 * len(samples) / rate)
    found = float(pyloudnorm.Meter(rate, block_size=block).integrated_loudness(mono))
    if not np.isfinite(found):
        raise DataError("too quiet to measure its loudness")
    room = 20 * float(np.log10(PEAK / np.abs(mono).max()))
    return round(min(loudness - found, max(room, 0.0)), 2)
