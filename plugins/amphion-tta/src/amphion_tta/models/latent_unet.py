"""UNet that reads noisy latents, the step of the diffusion and a caption: the network of latent diffusion.

Rombach et al.: "High-Resolution Image Synthesis with Latent Diffusion Models", arXiv:2112.10752, appendix E. It is
diffusers' UNet2DConditionModel. Letters: Z latent channels, H and W the sizes of the latents, L tokens, G pooled
values.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig, TextCondition
from amphion_core.errors import DataError
from amphion_tta.models.from_diffusers import diffusers_class


class UNetConfig(BaseConfig):
    """The sizes of the network; the defaults are those of Amphion's AudioLDM."""

    channels: tuple[int, ...] = Field(
        default=(256, 512, 1024), min_length=1, max_length=8,
        description="channels of each level; each level after the first has half the height and half the width",
    )  # fmt: skip
    blocks: int = Field(default=2, gt=0, le=16, description="residual blocks of each level")
    attention: tuple[bool, ...] = Field(
        default=(True, True, True), min_length=1, description="for each level, whether it has attention"
    )
    heads: tuple[int, ...] = Field(default=(8, 8, 8), min_length=1, description="heads of the attention of each level")
    groups: int = Field(default=32, gt=0, le=1024, description="groups of channels that are normalised together")
    linear_projection: bool = Field(
        default=False, description="matrices around the attention, as in PicoAudio; false: 1x1 convolutions"
    )

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        levels = len(self.channels)
        for name in ("attention", "heads"):
            if (found := len(getattr(self, name))) != levels:
                raise ValueError(f"{name}: {levels} values are needed, one for each of channels, and there are {found}")
        for size, heads in zip(self.channels, self.heads, strict=True):
            if size <= 0 or heads <= 0 or size % self.groups or size % heads:
                raise ValueError(f"channels: {size} is not a positive multiple of groups {self.groups}, heads {heads}")
        return self


class LatentUNet(nn.Module):
    """Noisy latents (B, Z, H, W), step (B) and a condition -> what the diffusion predicts, (B, Z', H, W).

    With ``context_dim`` it reads the states of all tokens by cross-attention; with ``pooled_dim`` it reads the pooled
    vector, beside the embedding of the step (FiLM; Perez et al., arXiv:1709.07871). H and W may be any numbers.
    ``latent_scale`` is the factor of the autoencoder's latents with which the network was trained.
    """

    latent_scale: Tensor

    def __init__(
        self, config: UNetConfig, *, in_channels: int, out_channels: int,
        context_dim: int | None = None, pooled_dim: int | None = None, latent_scale: float = 1.0,
    ) -> None:  # fmt: skip
        """``latent_scale`` is stored with the weights; see the attribute. Raises MissingPackage without diffusers."""
        super().__init__()
        kinds = ["CrossAttn" if attends else "" for attends in config.attention]
        pooled = {} if pooled_dim is None else {
            "class_embed_type": "simple_projection", "projection_class_embeddings_input_dim": pooled_dim,
            "class_embeddings_concat": True,
        }  # fmt: skip
        self.register_buffer("latent_scale", torch.tensor(latent_scale))
        self.uses_context, self.uses_pooled = context_dim is not None, pooled_dim is not None
        self.network = diffusers_class("UNet2DConditionModel")(
            in_channels=in_channels,
            out_channels=out_channels,
            down_block_types=tuple(f"{'CrossAttn' if kind else ''}DownBlock2D" for kind in kinds),
            up_block_types=tuple(f"{'CrossAttn' if kind else ''}UpBlock2D" for kind in reversed(kinds)),
            block_out_channels=config.channels,
            layers_per_block=config.blocks,
            attention_head_dim=config.heads,  # diffusers keeps this old name for the number of heads
            cross_attention_dim=config.channels if context_dim is None else context_dim,
            norm_num_groups=config.groups,
            use_linear_projection=config.linear_projection,
            **pooled,
        )
        for block in self.network.up_blocks:
            if block.upsamplers is not None:
                block.upsamplers[0] = CroppedUpsampling(block.upsamplers[0].conv)

    def forward(self, latents: Tensor, step: Tensor, condition: TextCondition) -> Tensor:
        """(B, Z, H, W), step (B) -> (B, Z', H, W). Raises DataError for a condition without what the network reads."""
        if self.uses_pooled and condition.pooled is None:
            raise DataError(
                "this model reads one vector for each caption, and its text encoder gives none",
                hint="use a text encoder with a pooled vector, such as text_encoder/clap",
            )
        found: Tensor = self.network(
            latents,
            step,
            encoder_hidden_states=condition.states if self.uses_context else None,
            encoder_attention_mask=condition.mask if self.uses_context else None,
            class_labels=condition.pooled if self.uses_pooled else None,
            return_dict=False,
        )[0]
        return found


class CroppedUpsampling(nn.Module):
    """Twice the size by repetition, a convolution, and the part that fits beside the skip connection.

    (B, C, H, W) -> (B, C, *output_size). diffusers would cut before the convolution, which changes the last row and the
    last column of odd sizes; published networks were trained with the cut behind it.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, output_size: tuple[int, int] | None = None) -> Tensor:
        """``output_size`` is (height, width); None: twice the size."""
        found: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return found if output_size is None else found[..., : output_size[0], : output_size[1]]
