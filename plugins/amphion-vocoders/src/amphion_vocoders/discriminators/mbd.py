"""Multi-band discriminator: scores complex spectrograms of several window lengths, each band by its own convolutions.

Kumar et al.: "High-Fidelity Audio Compression with Improved RVQGAN", arXiv:2306.06546, section 3.4 (DAC), in the form
that Vocos (arXiv:2306.00814) and BigVGAN offer: centred frames, and no first layer among the feature maps.
Layouts read: "nvidia" (BigVGAN). Deviations: none.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.config import validate
from amphion_core.modules.padding import reflect
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.checks import Size, check_wave

SLOPE = 0.1
PEAK, SMALLEST = 0.8, 1e-9  # the input's peak after scaling; added to the divisor


class MBD(Discriminator):
    """Multi-band discriminator: wave (B, 1, T) -> a score map and feature maps for each window length."""

    class Config(BaseConfig):
        """The defaults are DAC's."""

        ffts: tuple[Size, ...] = Field(
            default=(2048, 1024, 512),
            min_length=1,
            description="FFT size and window of each part; the hop is a quarter",
        )
        bands: tuple[tuple[float, float], ...] = Field(
            default=((0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)), min_length=1,
            description="start and end of each band, as parts of the bins",
        )  # fmt: skip
        channels: int = Field(default=32, gt=0, le=4096, description="channels of every convolution")

        @model_validator(mode="after")
        def _bands_have_bins(self) -> Self:
            for n_fft in self.ffts:
                if n_fft % 4:
                    raise ValueError(f"ffts: {n_fft} is not a multiple of 4")
                for low, high in self.bands:
                    start, stop = band_bins(n_fft, low, high)
                    if not 0 <= start < stop <= n_fft // 2 + 1:
                        raise ValueError(f"bands: {low} to {high} of an FFT of {n_fft} has no bins between 0 and 1")
            return self

    config: Config
    layouts = ("nvidia",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.discriminators = nn.ModuleList(_Part(n_fft, config.bands, config.channels) for n_fft in config.ffts)

    @classmethod
    def example_config(cls) -> Config:
        """Two short windows with two bands, 4 channels."""
        return cls.Config(ffts=(128, 64), bands=((0, 0.5), (0.5, 1)), channels=4)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores (B, 1, N, bins') and feature maps (B, C, N, bins'), one entry for each window length.

        Raises AudioError for another shape, and for audio that is too short to be mirrored at its ends.
        """
        check_wave(wave, shortest=max(self.config.ffts) // 2 + 1)
        with torch.autocast(wave.device.type, enabled=False):
            x = wave[:, 0].float()
            x = x - x.mean(-1, keepdim=True)
            x = PEAK * x / (x.abs().amax(-1, keepdim=True) + SMALLEST)
        found = [judge(x) for judge in self.discriminators]
        return [score for score, _ in found], [features for _, features in found]

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError.

        The stored windows are left out, because we compute them.
        """
        tensors = layouts.network_tensors(state, "mbd", "mrd")
        tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(".spec_fn.window")}
        given = flat_values(config)
        fields = {
            "channels": layouts.width(tensors, "discriminators.0.band_convs.0.0.bias", 32),
            "ffts": layouts.whole_numbers(given, ("mbd_fft_sizes",), (2048, 1024, 512)),
        }
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors


class _Part(nn.Module):
    """The discriminator of one window length."""

    def __init__(self, n_fft: int, bands: tuple[tuple[float, float], ...], channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.bins = [band_bins(n_fft, low, high) for low, high in bands]
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.band_convs = nn.ModuleList(_convolutions(channels) for _ in bands)
        self.conv_post = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=1))

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, T) -> scores (B, 1, N, bins'), feature maps."""
        spectrum = self.spectrum(wave)  # (B, 2, N, bins)
        features, ends = [], []
        for (start, stop), convs in zip(self.bins, self.band_convs, strict=True):
            x = spectrum[..., start:stop]
            layers: Any = convs
            for index, conv in enumerate(layers):
                x = F.leaky_relu(conv(x), SLOPE)
                if index:
                    features.append(x)
            ends.append(x)
        x = self.conv_post(torch.cat(ends, -1))
        return x, [*features, x]

    def spectrum(self, wave: Tensor) -> Tensor:
        """(B, T) -> real and imaginary parts (B, 2, N, bins), float32, N = T // hop + 1."""
        window: Any = self.window
        with torch.autocast(wave.device.type, enabled=False):
            x = reflect(wave, self.n_fft // 2, self.n_fft // 2)
            found = torch.stft(x, self.n_fft, self.n_fft // 4, window=window, center=False, return_complex=True)
            return torch.view_as_real(found).permute(0, 3, 2, 1)


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
