"""Power spectra of long frames, for the metrics that compare spectra or their averages."""

import numpy as np
import torch
from torch import Tensor

from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Samples

FFT, HOP, FLOOR = 2048, 512, 1e-8  # samples, samples, power
BLOCK = 512  # frames computed at a time, so the memory does not grow with the recording


def power_frames(samples: Samples) -> list[Tensor]:
    """(T,) -> power spectra in blocks (n, 1025), 1 + T // 512 frames in all; the signal is mirrored at both ends.

    Raises DataError below 1025 samples, which cannot be mirrored.
    """
    if len(samples) <= FFT // 2:
        raise DataError(f"a spectrum needs {FFT // 2 + 1} samples, the audio has {len(samples)}")
    wave = torch.from_numpy(np.pad(samples, FFT // 2, mode="reflect"))
    window = torch.hann_window(FFT, dtype=torch.float64)
    return [torch.fft.rfft(part * window).abs().square() for part in torch.split(wave.unfold(0, FFT, HOP), BLOCK)]
