"""Multi-scale discriminator: scores the wave and its averages at half and quarter rate by grouped 1-D convolutions.

Kumar et al.: "MelGAN", arXiv:1910.06711; with the convolutions of HiFi-GAN, arXiv:2010.05646, appendix A, or with
MelGAN's own, of which VITS (arXiv:2106.06103) has one scale.
Layouts read: "jik876" (HiFi-GAN), "descriptinc" (MelGAN), "jaywalnut310" and "piper" (the first part of VITS's
discriminator). Deviations: the power iteration of the first scale's spectral norm runs once after each update of the
weights (``after_update``), not in every forward pass. So the forward pass changes nothing: training gives the same
numbers on one process and on many, and a resumed run continues exactly.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from amphion_core.api import BaseConfig, Discriminator
from amphion_core.config import validate
from amphion_core.modules.gpu_convolutions import BlockedConv1d
from amphion_core.modules.padding import reflect
from amphion_vocoders.discriminators import layouts
from amphion_vocoders.discriminators.checks import check_wave

SLOPE = 0.1
MELGAN_SLOPE = 0.2  # of MelGAN's authors; VITS has their convolutions with the slope and the edges of HiFi-GAN
# kernel, stride, groups, and channels relative to the first convolution's
_CONVS = {
    "hifigan": (
        (15, 1, 1, 1), (41, 2, 4, 1), (41, 2, 16, 2), (41, 4, 16, 4), (41, 4, 16, 8), (41, 1, 16, 8), (5, 1, 1, 8),
    ),
    "melgan": ((15, 1, 1, 1), (41, 4, 4, 4), (41, 4, 16, 16), (41, 4, 64, 64), (41, 4, 256, 64), (5, 1, 1, 64)),
}  # fmt: skip
_CONVS["descriptinc"] = _CONVS["melgan"]


class MSD(Discriminator):
    """Multi-scale discriminator: wave (B, 1, T) -> a score map and feature maps for each scale."""

    class Config(BaseConfig):
        """The defaults are HiFi-GAN's.

        VITS has ``scales: 1, convolutions: melgan, channels: 16``, MelGAN ``convolutions: descriptinc, channels: 16``.
        """

        scales: int = Field(
            default=3, gt=0, le=16, description="number of scales; each has half the rate of the one before"
        )
        convolutions: Literal["hifigan", "melgan", "descriptinc"] = Field(
            default="hifigan",
            description="sizes of the convolutions of a scale; with melgan the first scale has weight norms too; "
            "descriptinc: the same, with the slope, the mirrored ends and the averages of MelGAN's authors",
        )
        channels: int = Field(
            default=128, gt=0, le=4096, multiple_of=4,
            description="channels of the first convolution; the last have 8 times (hifigan) or 64 times as many",
        )  # fmt: skip

        @model_validator(mode="after")
        def _groups_divide(self) -> Self:
            if self.convolutions == "hifigan" and self.channels % 16:
                raise ValueError(f"channels: {self.channels} is not a multiple of 16, the number of groups")
            return self

    config: Config
    layouts = ("jik876", "descriptinc", *layouts.OF_VITS)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        spectral = config.convolutions == "hifigan"
        convs = _CONVS[config.convolutions]
        mirrored = config.convolutions == "descriptinc"
        scales = (
            _Scale(config.channels, convs, spectral=spectral and n == 0, mirrored=mirrored)
            for n in range(config.scales)
        )
        self.discriminators = nn.ModuleList(scales)
        # As published: HiFi-GAN's means include the zeros of the padding, those of MelGAN do not.
        self.pool = (
            nn.AvgPool1d(4, 2, padding=1, count_include_pad=False) if mirrored else nn.AvgPool1d(4, 2, padding=2)
        )

    @classmethod
    def example_config(cls) -> Config:
        """Two scales, 16 channels."""
        return cls.Config(scales=2, channels=16)

    def example_inputs(self) -> dict[str, Any]:
        """A tenth of a second."""
        return {"wave": layouts.example_wave()}

    def forward(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores (B, S) and feature maps (B, C, T'), one entry for each scale. Raises AudioError."""
        mirrored = _CONVS["descriptinc"][0][0] // 2 + 1 if self.config.convolutions == "descriptinc" else 1
        check_wave(wave, shortest=2 ** len(self.discriminators) * mirrored)
        scores, features = [], []
        for index, judge in enumerate(self.discriminators):
            wave = self.pool(wave) if index else wave
            score, maps = judge(wave)
            scores.append(score)
            features.append(maps)
        return scores, features

    def train(self, mode: bool = True) -> Self:
        """Set training mode. The spectral norms stay in eval mode, because they iterate in ``after_update`` only."""
        super().train(mode)
        for conv in self._spectral():
            conv.parametrizations.weight.eval()
        return self

    @torch.no_grad()
    def after_update(self) -> None:
        """Do one power iteration of every spectral norm; the engine calls this after each update of the weights."""
        for conv in self._spectral():
            norm = conv.parametrizations.weight[0]
            matrix = conv.parametrizations.weight.original.flatten(1)
            norm._v.copy_(F.normalize(matrix.T @ norm._u, dim=0))
            norm._u.copy_(F.normalize(matrix @ norm._v, dim=0))

    def _spectral(self) -> list[Any]:
        first: Any = self.discriminators[0]
        return [*first.convs, first.conv_post] if self.config.convolutions == "hifigan" else []

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published discriminator as (Config, state dict). Raises WeightsError, RecipeError."""
        if layout in layouts.OF_VITS:
            tensors, _ = layouts.parts_of_vits(state)
        elif layout == "descriptinc":
            tensors = layouts.rename_melgan(layouts.network_tensors(state, "netD"))
        else:
            tensors = layouts.network_tensors(state, "msd", "MultiScaleDiscriminator")
        fields = {
            "convolutions": {"jik876": "hifigan", "descriptinc": "descriptinc"}.get(layout, "melgan"),
            "scales": max(1, layouts.count_indices(tensors, "discriminators.")),
            "channels": layouts.width(tensors, "discriminators.0.convs.0.bias", 128),
        }
        ours = validate(cls.Config, fields, where=f"the checkpoint, layout {layout}")
        return ours, layouts.rename_spectral_norms(tensors)


class _Scale(nn.Module):
    """The discriminator of one scale, with spectral norms or weight norms.

    ``mirrored``: the wave is mirrored at both ends before the first convolution, and the slope is that of MelGAN.
    """

    def __init__(
        self, channels: int, convs: tuple[tuple[int, int, int, int], ...], *, spectral: bool, mirrored: bool
    ) -> None:
        super().__init__()
        norm: Any = spectral_norm if spectral else weight_norm
        self.edge = convs[0][0] // 2 if mirrored else 0
        self.slope = MELGAN_SLOPE if mirrored else SLOPE
        self.convs, before = nn.ModuleList(), 1
        for index, (kernel, stride, groups, width) in enumerate(convs):
            padding = kernel // 2 if index or not mirrored else 0
            conv = BlockedConv1d(before, width * channels, kernel, stride, padding, groups=groups)
            self.convs.append(norm(conv))
            before = width * channels
        self.conv_post = norm(BlockedConv1d(before, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S), feature maps."""
        x, features = reflect(wave, self.edge, self.edge) if self.edge else wave, []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), self.slope)
            features.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*features, x]
