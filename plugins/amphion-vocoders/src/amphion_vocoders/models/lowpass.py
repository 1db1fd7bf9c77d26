"""The lowpass filter of BigVGAN's anti-aliased activation; both of its resampling filters are the same."""

import math
from functools import cache

import torch
from torch import Tensor

TAPS = 12


@cache
def lowpass(device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """The 12 taps: a sinc with its cutoff at a quarter of the rate, in a Kaiser window; their sum is 1.

    The window's shape follows from the width of the transition by Kaiser's formulas, as published.
    """
    half, cutoff = TAPS // 2, 0.25
    attenuation = 2.285 * (half - 1) * math.pi * 4 * 0.3 + 7.95  # decibels; 0.3 is half the transition's width
    shape = 0.1102 * (attenuation - 8.7)  # for more than 50 dB
    with torch.inference_mode(False):  # the cached tensor may be part of a later training step
        window = torch.kaiser_window(TAPS, periodic=False, beta=shape, dtype=torch.float64)
        taps = window * torch.sinc(2 * cutoff * (torch.arange(TAPS, dtype=torch.float64) - half + 0.5))
        return (taps / taps.sum()).to(device, dtype)
