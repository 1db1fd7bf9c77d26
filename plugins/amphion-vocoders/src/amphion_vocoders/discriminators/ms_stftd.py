"""Multi-scale STFT discriminator: scores complex spectrograms of several scales by 2-D convolutions.

Defossez et al.: "High Fidelity Neural Audio Compression" (EnCodec), arXiv:2210.13438, section 3.4.
Layouts read: "encodec", "amphion" (hops 256, 512, 256). Deviations: none from the encodec package.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.config import validate
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.checks import Size, check_wave
from amphion_vocoders.discriminators.spectrogram_judge import SpectrogramJudge

SLOPE = 0.2


class MSSTFTD(Discriminator):
    """Multi-scale STFT discriminator: wave (B, 1, T) -> a score map and feature maps for each scale."""

    class Config(BaseConfig):
        """The defaults are those of the encodec package; the paper has five scales."""

        ffts: tuple[Size, ...] = Field(
            default=(1024, 2048, 512), min_length=1, description="FFT and window of each scale, samples"
        )
        hops: tuple[Size, ...] = Field(
            default=(256, 512, 128), description="hop of each scale, samples; Amphion: 256, 512, 256"
        )
        filters: int = Field(default=32, gt=0, le=4096, description="channels of every convolution")

        @model_validator(mode="after")
        def _scales_agree(self) -> Self:
            if len(self.ffts) != len(self.hops):
                raise ValueError(f"hops: {len(self.hops)} for {len(self.ffts)} FFT sizes")
            return self

    config: Config
    layouts = ("encodec", "amphion")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        scales = zip(config.ffts, config.hops, strict=True)
        self.discriminators = nn.ModuleList(_Scale(n_fft, hop, config.filters) for n_fft, hop in scales)

    @classmethod
    def example_config(cls) -> Config:
        """Two small scales, 4 filters."""
        return cls.Config(ffts=(128, 64), hops=(32, 16), filters=4)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores (B, 1, N, bins') and feature maps (B, C, N, bins'), one entry for each scale.

        Raises AudioError for another shape, and for audio shorter than one window.
        """
        check_wave(wave, shortest=max(self.config.ffts))
        found = [judge(wave) for judge in self.discriminators]
        return [score for score, _ in found], [features for _, features in found]

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError."""
        given = flat_values(config)
        tensors = layouts.network_tensors(state, "msstftd", "MultiScaleSTFTDiscriminator")
        hops = (256, 512, 256) if layout == "amphion" else (256, 512, 128)
        fields = {
            "ffts": layouts.whole_numbers(given, ("n_ffts",), (1024, 2048, 512)),
            "hops": layouts.whole_numbers(given, ("hop_lengths",), hops),
            "filters": given.whole("filters", layouts.width(tensors, "discriminators.0.convs.0.conv.bias", 32)),
        }
        ours = validate(cls.Config, fields, where=f"the publisher's config, layout {layout}")
        return ours, layouts.rename_spectrogram_judge(tensors, "spec_transform.")


class _Scale(nn.Module):
    """The discriminator of one scale."""

    def __init__(self, n_fft: int, hop: int, filters: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        window = torch.hann_window(n_fft)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        self.judge = SpectrogramJudge(filters, SLOPE)

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, 1, N, bins'), feature maps."""
        window: Any = self.window
        with torch.autocast(wave.device.type, enabled=False):
            spectrum = torch.stft(
                wave[:, 0].float(), self.n_fft, self.hop, window=window, center=False, return_complex=True
            )
        return self.judge(torch.stack([spectrum.real.mT, spectrum.imag.mT], 1))
