"""AudioLDM of Amphion: latent diffusion whose network reads the tokens of a caption by cross-attention.

The system of the paper's Table 6 ("Amphion: An Open-Source Audio, Music and Speech Generation Toolkit",
arXiv:2312.09911). Its design is that of AUDIT (arXiv:2304.00830) and Make-An-Audio (arXiv:2301.12661): the encoder of
T5, an autoencoder without attention, latents without a scale; latents of odd sizes (5 x 39 for ten seconds).
Layouts read: "amphion" (``unet.`` names; the autoencoder's file is given as ``autoencoder``).
Deviations: the states of padding are masked, and the empty caption of guidance has one state, where the authors pad it
to the length of the caption. So an item does not depend on the others of its batch.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor

from amphion_core.api import MelConfig
from amphion_core.modules.diffusion import Sampler
from amphion_tta.autoencoders import AutoencoderPart
from amphion_tta.models import audioldm_layouts
from amphion_tta.models.latent_diffusion import LatentDiffusion
from amphion_tta.models.latent_unet import UNetConfig


class AudioLDMT5(LatentDiffusion):
    """Text to audio with the states of a T5 encoder: condition (B, L, C) -> mel (B, F, N)."""

    class Config(LatentDiffusion.Config):
        """The defaults are those of the published model with latents of 5 x 39."""

        autoencoder: AutoencoderPart = Field(
            default_factory=lambda: AutoencoderPart.named("autoencoder/kl", **audioldm_layouts.AMPHION_AUTOENCODER),
            description="autoencoder of mels: its latents are generated",
        )
        text_encoder: str = Field(
            default="text_encoder/t5@base",
            description="encoder of captions: a card, a weights folder, or an encoder without weights",
        )
        latent_scale: float | None = Field(
            default=1.0, gt=0, le=1e6,
            description="factor of the latents; null: one by their deviation, measured once before the first step",
        )  # fmt: skip
        sampler: Sampler = Field(default="pndm", description="sampler of a request that states none")
        guidance: float = Field(default=4.0, ge=0, le=100, description="guidance of a request that states none")

    config: Config
    layouts = ("amphion",)

    @classmethod
    def example_config(cls) -> Config:
        """Two small levels, an autoencoder of eight bands, two steps."""
        mel = MelConfig.preset("tta_16k_80").replace(n_mels=8)
        small = {"mel": mel, "channels": (4, 8), "blocks": 1, "latent_channels": 2, "groups": 2, "time_first": False}
        return cls.Config(
            autoencoder=AutoencoderPart.named("autoencoder/kl", attention=False, **small),
            unet=UNetConfig(channels=(8, 16), blocks=1, attention=(True, True), heads=(2, 2), groups=4),
            text_encoder="text_encoder/words", condition_dim=128, steps=2,
        )  # fmt: skip

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published UNet with its autoencoder as (Config, state dict). Raises WeightsError."""
        return audioldm_layouts.read_amphion(cls.Config, state, config)
