"""Kaldi's logarithmic filterbank energies: the input of recognisers that were trained with Kaldi's features.

The formulas are those of Kaldi's ``compute-fbank-feats`` with its default options and without dither. Each frame has
its mean removed, is pre-emphasised, and is multiplied with the window of Povey, a Hann window to the power 0.85. The
bands are triangles on the mel axis. Agrees with ``torchaudio.compliance.kaldi.fbank``, also on silence.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

RATE, SIZE, HOP, N_FFT = 16000, 400, 160, 512  # Hz, samples: frames of 25 ms, one each 10 ms
LOWEST = 20.0  # Hz where the first band begins; the last one ends at half the rate
PREEMPHASIS, POVEY = 0.97, 0.85
SCALE = 32768.0  # Kaldi reads samples as 16-bit whole numbers
FLOOR = torch.finfo(torch.float32).eps  # of the energy of a band


def kaldi_filterbank(waves: Tensor, bands: int) -> Tensor:
    """Waves (B, T) in [-1, 1] at 16 kHz -> natural logarithms of energies (B, N, bands), N = (T - 400) // 160 + 1.

    Only frames that lie inside the recording are computed; T is at least 400.
    """
    frames = waves.unfold(1, SIZE, HOP) * SCALE  # (B, N, 400)
    frames = frames - frames.mean(-1, keepdim=True)
    before = F.pad(frames, (1, 0), mode="replicate")[..., :-1]  # the first sample has itself before it
    window, weights = _tables(bands, waves.device)
    spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * window, N_FFT)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power[..., :-1] @ weights).clamp_min(FLOOR).log()


def _mel(hertz: Tensor) -> Tensor:
    return 1127 * torch.log1p(hertz / 700)


@lru_cache(maxsize=8)
def _tables(bands: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The window (400,), and the weights (256, bands) of the bins below half the rate."""
    with torch.inference_mode(False):  # the tables are used again outside of inference mode
        window = torch.hann_window(SIZE, periodic=False, dtype=torch.float64) ** POVEY
        ends = _mel(torch.tensor([LOWEST, RATE / 2], dtype=torch.float64)).tolist()
        edges = torch.linspace(ends[0], ends[1], bands + 2, dtype=torch.float64)
        bins = _mel(torch.arange(N_FFT // 2, dtype=torch.float64) * RATE / N_FFT)[:, None]
        rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        weights = torch.minimum(rising, falling).clamp_min(0)
        return window.float().to(device), weights.float().to(device)
