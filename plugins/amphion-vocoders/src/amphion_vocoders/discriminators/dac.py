"""DAC's discriminators: several periods of the wave, and complex spectrograms of several window lengths in bands.

Kumar et al.: "High-Fidelity Audio Compression with Improved RVQGAN", arXiv:2306.06546, section 3.4.
Layout read: "descriptinc" (the authors' training checkpoints, ``discriminator/weights.pth``).
Deviations: none. As in the authors' code, a wave whose length is a multiple of a period is mirrored for one further row
of that period, and the score maps are not among the feature maps.
"""

import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.config import validate
from amphion_core.errors import WeightsError
from amphion_core.modules.padding import reflect
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.band_judge import BANDS, BandJudge, check_bands, scaled
from amphion_vocoders.discriminators.checks import Size, check_wave
from amphion_vocoders.discriminators.period_judge import PeriodJudge

_LAYER = re.compile(r"^(discriminators\.\d+\.(?:convs\.\d+|band_convs\.\d+\.\d+))\.0\.(.+)$")
"""A layer is convolution and activation there, and only the first, 0, has weights."""


class DACDiscriminator(Discriminator):
    """Periods, then window lengths: wave (B, 1, T) -> a score map and feature maps for each."""

    class Config(BaseConfig):
        """The defaults are the authors': 42.5 M parameters."""

        periods: tuple[Size, ...] = Field(
            default=(2, 3, 5, 7, 11), description="period of each folding, samples; primes overlap least"
        )
        ffts: tuple[Size, ...] = Field(
            default=(2048, 1024, 512), description="FFT size and window of each spectrogram, samples; hop: a quarter"
        )
        bands: tuple[tuple[float, float], ...] = Field(
            default=BANDS, min_length=1, description="start and end of each band, as parts of the bins"
        )
        channels: int = Field(
            default=32, gt=0, le=4096, description="channels of a period's first convolution, and of all in a band"
        )

        @model_validator(mode="after")
        def _parts_exist(self) -> Self:
            if not self.periods and not self.ffts:
                raise ValueError("periods: without periods and ffts there is no discriminator")
            check_bands(self.ffts, self.bands)
            return self

    config: Config
    layouts = ("descriptinc",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.discriminators = nn.ModuleList(PeriodJudge(period, config.channels, 1) for period in config.periods)
        self.discriminators.extend(_Window(n_fft, config.bands, config.channels) for n_fft in config.ffts)

    @classmethod
    def example_config(cls) -> Config:
        """One period, and one short window with two bands; 2 channels."""
        return cls.Config(periods=(3,), ffts=(64,), bands=((0, 0.5), (0.5, 1)), channels=2)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores and feature maps, one entry for each period and then for each window length.

        A period has scores (B, S) and maps (B, C, T', p), a window length (B, 1, N, bins') and (B, C, N, bins').
        Raises AudioError for another shape, and for audio that is too short to be mirrored at its ends.
        """
        windows = (n_fft // 2 + n_fft // 4 for n_fft in self.config.ffts)
        check_wave(wave, shortest=max([*(period + 1 for period in self.config.periods), *windows]))
        x = scaled(wave)
        scores, features = [], []
        for judge in self.discriminators:
            if isinstance(judge, PeriodJudge):
                score, maps = judge(reflect(x, 0, judge.period - x.shape[2] % judge.period))
                maps = maps[:-1]
            else:
                score, maps = judge(x[:, 0])
            scores.append(score)
            features.append(maps)
        return scores, features

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError.

        Periods, FFT sizes and bands are those of ``config``, else the defaults: the checkpoint's metadata repeat the
        defaults of the authors' code whatever was trained.
        """
        given = flat_values(config)
        if given.get(rates := _stated(given, "rates")):
            raise given.problem(rates, "is not empty; discriminators of other sample rates are not read")
        tensors = {_LAYER.sub(r"\1.\2", name): tensor for name, tensor in layouts.network_tensors(state).items()}
        first = layouts.width(tensors, "discriminators.0.band_convs.0.0.bias", 32)
        fields: dict[str, Any] = {"channels": layouts.width(tensors, "discriminators.0.convs.0.bias", first)}
        for ours, theirs in (("periods", "periods"), ("ffts", "fft_sizes"), ("bands", "bands")):
            if (name := _stated(given, theirs)) in given:
                fields[ours] = given.get(name)
        checked = validate(cls.Config, fields, where=f"the publisher's config, layout {layout}")
        _check_parts(tensors, len(checked.periods), len(checked.ffts))
        return checked, tensors


def _stated(given: Values, name: str) -> str:
    """The name of a value in the config: the authors' recipes write ``Discriminator.periods``."""
    return name if name in given else f"discriminator.{name}"


def _check_parts(tensors: Mapping[str, Any], periods: int, windows: int) -> None:
    """Raise WeightsError if the checkpoint has other numbers of parts; not if it has none, which others report."""
    found = [
        len({name.split(".")[1] for name in tensors if name.startswith("discriminators.") and f".{layers}.0." in name})
        for layers in ("convs", "band_convs")
    ]
    if any(found) and found != [periods, windows]:
        raise WeightsError(
            f"the checkpoint has {found[0]} periods and {found[1]} window lengths, the config {periods} and {windows}",
            hint="give the recipe of its training: amphion convert --config FILE",
        )


class _Window(BandJudge):
    """The discriminator of one window length. Its frames stand as those of a convolution, so that N = ceil(T / hop)."""

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, T) -> scores (B, 1, N, bins'), feature maps."""
        scores, maps = self.judge(self.spectrum(wave))
        return scores, [layer for layers in maps for layer in layers]

    def spectrum(self, wave: Tensor) -> Tensor:
        """(B, T) -> real and imaginary parts (B, 2, N, bins), float32."""
        around = (self.n_fft - self.hop) // 2
        return self.frames(wave, around, around + -wave.shape[1] % self.hop)
