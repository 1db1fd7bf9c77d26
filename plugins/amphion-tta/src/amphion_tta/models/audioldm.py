"""AudioLDM: latent diffusion whose network reads one vector of a caption, which CLAP makes of texts and of sounds.

Liu et al.: "AudioLDM: Text-to-Audio Generation with Latent Diffusion Models", arXiv:2301.12503. The vector joins the
embedding of the step (FiLM). The authors train with CLAP's vectors of the recordings and generate with those of
captions. Layouts read: "diffusers" (the folder ``unet`` of cvssp/audioldm*, with the file of the folder ``vae``),
"haoheliu" (the authors' single file, which holds the autoencoder too). Deviations: none.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from amphion_core.api import MelConfig
from amphion_core.modules.diffusion import Diffusion
from amphion_tta.autoencoders import AutoencoderPart
from amphion_tta.models import audioldm_layouts
from amphion_tta.models.latent_diffusion import LatentDiffusion
from amphion_tta.models.latent_unet import UNetConfig


class AudioLDM(LatentDiffusion):
    """Text to audio with the pooled vector of a caption: condition (B, G) -> mel (B, F, N)."""

    class Config(LatentDiffusion.Config):
        """The defaults are those of the published small models."""

        autoencoder: AutoencoderPart = Field(
            default_factory=lambda: AutoencoderPart.named("autoencoder/kl"),
            description="autoencoder of mels: its latents are generated",
        )
        unet: UNetConfig = Field(
            default=UNetConfig(
                channels=(128, 256, 384, 640), attention=(False, True, True, True), heads=(4, 8, 12, 20)
            ),
            description="sizes of the network that finds the noise",
        )
        text_encoder: str = Field(
            default="text_encoder/clap@htsat_unfused",
            description="encoder of captions: a card, a weights folder, or an encoder without weights",
        )
        condition_dim: int = Field(
            default=512, gt=0, le=16384, description="values of the pooled vector of the encoder"
        )
        diffusion: Diffusion = Field(
            default=Diffusion(first_noise=0.0015, last_noise=0.0195, schedule="scaled_linear", clip="never"),
            description="noise of the training, and what the network predicts",
        )

    config: Config
    layouts = ("diffusers", "haoheliu")
    layouts_with_config = ("diffusers",)
    files_beside = audioldm_layouts.FOLDERS
    condition: ClassVar[Literal["states", "pooled"]] = "pooled"

    @classmethod
    def example_config(cls) -> Config:
        """Two small levels, an autoencoder of eight bands, two steps."""
        mel = MelConfig.preset("audioldm_16k_64").replace(n_mels=8)
        return cls.Config(
            autoencoder=AutoencoderPart.named(
                "autoencoder/kl", mel=mel, channels=(4, 8), blocks=1, latent_channels=2, groups=2
            ),
            unet=UNetConfig(channels=(8, 16), blocks=1, attention=(False, True), heads=(1, 2), groups=4),
            text_encoder="text_encoder/words", condition_dim=128, steps=2,
        )  # fmt: skip

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published UNet with its autoencoder as (Config, state dict). Raises WeightsError."""
        if layout == "haoheliu":
            return audioldm_layouts.read_single_file(cls.Config, state)
        return audioldm_layouts.read_folder(cls.Config, state, config or {})
