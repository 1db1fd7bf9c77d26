"""The convolutions that score a complex spectrogram in bands, shared by MBD and DAC's discriminators.

Kumar et al.: "High-Fidelity Audio Compression with Improved RVQGAN", arXiv:2306.06546, section 3.4.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.modules.padding import reflect

SLOPE = 0.1
PEAK, SMALLEST = 0.8, 1e-9  # the input's peak after scaling; added to the divisor
BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
"""Start and end of each of DAC's bands, as parts of the bins."""


class BandJudge(nn.Module):
    """The convolutions of one window length; each band of its spectrum has its own."""

    def __init__(self, n_fft: int, bands: tuple[tuple[float, float], ...], channels: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, n_fft // 4
        self.bins = [band_bins(n_fft, low, high) for low, high in bands]
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.band_convs = nn.ModuleList(_convolutions(channels) for _ in bands)
        self.conv_post = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=1))

    def judge(self, spectrum: Tensor) -> tuple[Tensor, list[list[Tensor]]]:
        """(B, 2, N, bins) -> scores (B, 1, N, bins'), and for each band the maps of its layers."""
        maps: list[list[Tensor]] = []
        for (start, stop), convs in zip(self.bins, self.band_convs, strict=True):
            x, layers = spectrum[..., start:stop], []
            modules: Any = convs
            for conv in modules:
                x = F.leaky_relu(conv(x), SLOPE)
                layers.append(x)
            maps.append(layers)
        return self.conv_post(torch.cat([layers[-1] for layers in maps], -1)), maps

    def frames(self, wave: Tensor, before: int, after: int) -> Tensor:
        """(B, T), mirrored by some samples at both ends -> real and imaginary parts (B, 2, N, bins), float32."""
        window: Any = self.window
        with torch.autocast(wave.device.type, enabled=False):
            x = reflect(wave, before, after)
            found = torch.stft(x, self.n_fft, self.hop, window=window, center=False, return_complex=True)
            return torch.view_as_real(found).permute(0, 3, 2, 1)


def scaled(wave: Tensor) -> Tensor:
    """(..., T) -> the same without its mean and with a peak of 0.8, float32."""
    with torch.autocast(wave.device.type, enabled=False):
        x = wave.float()
        x = x - x.mean(-1, keepdim=True)
        return PEAK * x / (x.abs().amax(-1, keepdim=True) + SMALLEST)


def check_bands(ffts: tuple[int, ...], bands: tuple[tuple[float, float], ...]) -> None:
    """Raise ValueError unless each band has bins of each FFT, whose size is a multiple of 4."""
    for n_fft in ffts:
        if n_fft % 4:
            raise ValueError(f"ffts: {n_fft} is not a multiple of 4")
        for low, high in bands:
            start, stop = band_bins(n_fft, low, high)
            if not 0 <= start < stop <= n_fft // 2 + 1:
                raise ValueError(f"bands: {low} to {high} of an FFT of {n_fft} has no bins between 0 and 1")


def band_bins(n_fft: int, low: float, high: float) -> tuple[int, int]:
    """The first bin of a band, and the one after its last."""
    count = n_fft // 2 + 1
    return int(low * count), int(high * count)


def _convolutions(channels: int) -> nn.ModuleList:
    """Those of one band, along time and frequency; the frequencies become fewer by half three times."""
    convs = [nn.Conv2d(2, channels, (3, 9), padding=(1, 4))]
    convs += [nn.Conv2d(channels, channels, (3, 9), (1, 2), (1, 4)) for _ in range(3)]
    convs.append(nn.Conv2d(channels, channels, (3, 3), padding=1))
    return nn.ModuleList(weight_norm(conv) for conv in convs)
