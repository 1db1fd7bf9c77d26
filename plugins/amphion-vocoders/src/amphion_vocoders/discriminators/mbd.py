"""Multi-band discriminator: scores complex spectrograms of several window lengths, each band by its own convolutions.

Kumar et al.: "High-Fidelity Audio Compression with Improved RVQGAN", arXiv:2306.06546, section 3.4 (DAC), in the form
that Vocos (arXiv:2306.00814) and BigVGAN offer: centred frames, and no first layer among the feature maps. DAC's own
is half of discriminator/dac.
Layouts read: "nvidia" (BigVGAN). Deviations: none.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.config import validate
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.band_judge import BANDS, BandJudge, check_bands, scaled
from amphion_vocoders.discriminators.checks import Size, check_wave


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
            default=BANDS, min_length=1, description="start and end of each band, as parts of the bins"
        )
        channels: int = Field(default=32, gt=0, le=4096, description="channels of every convolution")

        @model_validator(mode="after")
        def _bands_have_bins(self) -> Self:
            check_bands(self.ffts, self.bands)
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
        x = scaled(wave[:, 0])
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


class _Part(BandJudge):
    """The discriminator of one window length, with centred frames."""

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, T) -> scores (B, 1, N, bins'), feature maps without those of the first layers."""
        scores, maps = self.judge(self.spectrum(wave))
        return scores, [*(layer for layers in maps for layer in layers[1:]), scores]

    def spectrum(self, wave: Tensor) -> Tensor:
        """(B, T) -> real and imaginary parts (B, 2, N, bins), float32, N = T // hop + 1."""
        return self.frames(wave, self.n_fft // 2, self.n_fft // 2)
