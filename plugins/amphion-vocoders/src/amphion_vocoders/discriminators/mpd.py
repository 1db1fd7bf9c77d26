"""Multi-period discriminator: folds the wave at several periods and scores each by 2-D convolutions along time.

Kong, Kim, Bae: "HiFi-GAN", arXiv:2010.05646, section 2.3.
Layouts read: "jik876" (HiFi-GAN), "nvidia" (BigVGAN), "amphion" (set ``last_stride`` 3), "jaywalnut310" and
"piper" (VITS's discriminator without its first part, which discriminator/msd reads). Deviations: none.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.config import validate
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.checks import Size, check_wave
from amphion_vocoders.discriminators.period_judge import PeriodJudge


class MPD(Discriminator):
    """Multi-period discriminator: wave (B, 1, T) -> a score map and feature maps for each period."""

    class Config(BaseConfig):
        """The defaults are the paper's."""

        periods: tuple[Size, ...] = Field(
            default=(2, 3, 5, 7, 11), min_length=1, description="period of each folding, samples; primes overlap least"
        )
        channels: int = Field(
            default=32, gt=0, le=4096, description="channels of the first convolution; the last have 32 times"
        )
        last_stride: int = Field(
            default=1, gt=0, le=16, description="stride of the fifth convolution; 3 in Amphion's weights"
        )

    config: Config
    layouts = ("jik876", "nvidia", "amphion", *layouts.OF_VITS)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        judges = (PeriodJudge(period, config.channels, config.last_stride) for period in config.periods)
        self.discriminators = nn.ModuleList(judges)

    @classmethod
    def example_config(cls) -> Config:
        """Two periods, 2 channels."""
        return cls.Config(periods=(2, 3), channels=2)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores (B, S) and feature maps (B, C, T', p), one entry for each period.

        Raises AudioError for another shape, and if there are fewer samples than the longest period.
        """
        check_wave(wave, shortest=max(self.config.periods) + 1)
        found = [judge(wave) for judge in self.discriminators]
        return [score for score, _ in found], [features for _, features in found]

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError."""
        if layout in layouts.OF_VITS:
            _, tensors = layouts.parts_of_vits(state)
        else:
            tensors = layouts.network_tensors(state, "mpd", "MultiPeriodDiscriminator")
        given = flat_values(config)
        count = layouts.count_indices(tensors, "discriminators.")
        usual = (2, 3, 5, 7, 11, 17, 23, 37)[:count]
        fields = {
            "periods": layouts.whole_numbers(given, ("mpd_reshapes", "periods"), usual),
            "channels": layouts.width(tensors, "discriminators.0.convs.0.bias", 32),
            "last_stride": given.whole("last_stride", 3 if layout == "amphion" else 1),
        }
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
