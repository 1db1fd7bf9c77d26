"""Multi-scale sub-band CQT discriminator: aligns the octaves of constant-Q spectrograms, and scores them.

Gu et al.: "Multi-Scale Sub-Band Constant-Q Transform Discriminator for High-Fidelity Vocoder", arXiv:2311.14957,
section 2; and "An Investigation of Time-Frequency Representation Discriminators for High-Fidelity Vocoder",
arXiv:2404.17161.
Layouts read: "amphion", "nvidia" (BigVGAN v2). Deviations: none. The filters of the transform are computed, not stored.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.config import validate
from amphion_vocoders.discriminators import constant_q, layouts
from amphion_vocoders.discriminators.checks import Bins, Size, check_wave
from amphion_vocoders.discriminators.spectrogram_judge import SpectrogramJudge

SLOPE = 0.1


class MSSBCQTD(Discriminator):
    """Multi-scale sub-band CQT discriminator: wave (B, 1, T) -> a score map and feature maps for each scale."""

    class Config(BaseConfig):
        """The defaults are the paper's, for audio from 17 to 24 kHz."""

        sample_rate: int = Field(
            default=24000,
            gt=0,
            le=1_000_000,
            description="rate of the audio, Hz; the transform works at twice this rate",
        )
        hops: tuple[Size, ...] = Field(
            default=(512, 256, 256), min_length=1, description="hop of each scale, samples at twice the rate"
        )
        bins_per_octave: tuple[Bins, ...] = Field(default=(24, 36, 48), description="bins per octave of each scale")
        octaves: int = Field(
            default=9, gt=0, le=16, description="octaves above fmin; the top frequency must be below the rate"
        )
        fmin: float = Field(default=32.7, gt=0, description="lowest bin, Hz")
        filters: int = Field(default=32, gt=0, le=4096, description="channels of every convolution; BigVGAN v2: 128")

        @model_validator(mode="after")
        def _transform_is_possible(self) -> Self:
            if len(self.hops) != len(self.bins_per_octave):
                raise ValueError(f"bins_per_octave: {len(self.bins_per_octave)} for {len(self.hops)} hops")
            for hop in self.hops:
                constant_q.check(2 * self.sample_rate, hop, self.octaves, self.fmin)
            return self

    config: Config
    layouts = ("amphion", "nvidia")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        scales = zip(config.hops, config.bins_per_octave, strict=True)
        self.discriminators = nn.ModuleList(_Scale(config, hop, bins) for hop, bins in scales)

    @classmethod
    def example_config(cls) -> Config:
        """One scale of four octaves, 4 filters."""
        return cls.Config(hops=(64,), bins_per_octave=(12,), octaves=4, fmin=200.0, filters=4)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores (B, 1, N, bins') and feature maps (B, C, N, bins'), one entry for each scale.

        Raises AudioError for another shape, and for audio that is too short for the lowest octave.
        """
        check_wave(wave, shortest=2**self.config.octaves)
        with torch.autocast(wave.device.type, enabled=False):
            doubled = constant_q.resample(wave[:, 0].float(), (1, 2))
        found = [judge(doubled) for judge in self.discriminators]
        return [score for score, _ in found], [features for _, features in found]

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError."""
        given, state = flat_values(config), layouts.network_tensors(state, "mssbcqtd", "cqtd", "mrd")
        tensors = layouts.rename_spectrogram_judge(state, "cqt_transform.", "resample.")
        rate = "sample_rate" if "sample_rate" in given else "sampling_rate"
        octaves = "n_octaves" if "n_octaves" in given else "cqtd_n_octaves"
        each = given.wholes(octaves) if isinstance(given.get(octaves), list | tuple) else (given.whole(octaves, 9),)
        if len(set(each)) > 1:
            raise given.wrong(octaves, "the same number of octaves for each scale")
        fields = {
            "sample_rate": given.whole(rate, 24000),
            "hops": layouts.whole_numbers(given, ("hop_lengths", "cqtd_hop_lengths"), (512, 256, 256)),
            "bins_per_octave": layouts.whole_numbers(
                given, ("bins_per_octaves", "cqtd_bins_per_octaves"), (24, 36, 48)
            ),
            "octaves": each[0],
            "filters": layouts.width(tensors, "discriminators.0.judge.convs.0.bias", 32),
        }
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors


class _Scale(nn.Module):
    """The discriminator of one scale: sub-band processing, then the convolutions."""

    def __init__(self, config: MSSBCQTD.Config, hop: int, bins_per_octave: int) -> None:
        super().__init__()
        self.transform = constant_q.ConstantQ(2 * config.sample_rate, hop, config.octaves, bins_per_octave, config.fmin)
        self.conv_pres = nn.ModuleList(nn.Conv2d(2, 2, (3, 9), padding=(1, 4)) for _ in range(config.octaves))
        self.judge = SpectrogramJudge(config.filters, SLOPE)

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, T) at twice the rate -> scores (B, 1, N, bins'), feature maps."""
        bands = self.transform(wave).mT.chunk(len(self.conv_pres), 3)  # octaves of (B, 2, N, bins_per_octave)
        return self.judge(torch.cat([conv(band) for conv, band in zip(self.conv_pres, bands, strict=True)], 3))
