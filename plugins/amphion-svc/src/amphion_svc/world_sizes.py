"""Sizes of WORLD's frames, which its features and its converter share."""

from amphion_core.api import MelConfig
from amphion_core.features.f0 import require_package

LOWEST_F0 = 50.0  # Hz; the FFT must be long enough for it
WORLD_MEL = MelConfig.preset("amphion_24k_100").replace(hop_length=120)
"""24 kHz and WORLD's own frame shift of 5 ms."""


def fft_size(rate: int) -> int:
    """Length of the FFT of WORLD's envelopes at ``rate`` Hz. Raises MissingPackage."""
    return int(require_package("pyworld", "f0").get_cheaptrick_fft_size(rate, LOWEST_F0))


def aperiodicity_bands(rate: int) -> int:
    """Values of a frame's coded aperiodicity at ``rate`` Hz: one for each 3 kHz. Raises MissingPackage."""
    return int(require_package("pyworld", "f0").get_num_aperiodicities(rate))
