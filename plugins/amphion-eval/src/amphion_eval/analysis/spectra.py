"""Power spectra of long frames, block by block, for the metrics that compare them."""

import numpy as np
import torch
from torch import Tensor

from amphion_eval.analysis.signals import Samples

FFT, HOP, FLOOR = 2048, 512, 1e-8
BLOCK = 512  # frames at a time, so that memory does not grow with the recording


def power_frames(samples: Samples) -> list[Tensor]:
    """(T,), T > 1024 -> power spectra in blocks of (n, 1025), 1 + T // 512 frames in all, mirrored at the ends."""
    wave = torch.from_numpy(np.pad(samples, FFT // 2, mode="reflect"))
    window = torch.hann_window(FFT, dtype=torch.float64)
    return [torch.fft.rfft(part * window).abs().square() for part in torch.split(wave.unfold(0, FFT, HOP), BLOCK)]
