"""Autoencoder of mel spectrograms for latent diffusion: a mel becomes a small picture of latents, and a mel again.

Kingma, Welling: "Auto-Encoding Variational Bayes", arXiv:1312.6114; the network is that of Rombach et al.,
"High-Resolution Image Synthesis with Latent Diffusion Models", arXiv:2112.10752, appendix G, with one colour.
AudioLDM (arXiv:2301.12503, section 3.2), PicoAudio and Amphion's AudioLDM use it. It is diffusers' AutoencoderKL.
Layouts read: "diffusers" (a folder such as cvssp/audioldm's ``vae``), "haoheliu" (the authors' single file, whose part
``first_stage_model`` it is), "amphion". Deviations: none.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.api import BaseConfig, Mel, MelConfig, ModelArchitecture
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.config import validate
from amphion_core.errors import AudioError, WeightsError
from amphion_tta.models import compvis_names
from amphion_tta.models.from_diffusers import diffusers_class

PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
LOG_VARIANCES = (-30.0, 20.0)  # limits of a log-variance in the authors' code


class Posterior(NamedTuple):
    """The normal distribution of latents that the encoder gives: ``mean`` and ``log_variance``, (B, Z, H, W) each."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Latents (B, Z, H, W) drawn with the standard normal ``noise`` of the same shape."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """Kullback-Leibler divergence from the standard normal distribution, summed over an item: (B), nats."""
        terms = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        return 0.5 * terms.flatten(1).sum(1)


class AutoencoderKL(ModelArchitecture):
    """Mels (B, F, N) to latents (B, Z, H, W) and back. Z latent channels; time is H with ``time_first``, else W."""

    class Config(BaseConfig):
        """The defaults are those of AudioLDM."""

        mel: Mel = Field(
            default=MelConfig.preset("audioldm_16k_64"), description="mel convention: bands F, hop in samples, rate"
        )
        channels: tuple[int, ...] = Field(
            default=(128, 256, 512), min_length=1, max_length=8,
            description="channels of each level; each level after the first has half the frames and half the bands",
        )  # fmt: skip
        blocks: int = Field(default=2, gt=0, le=16, description="residual blocks of each level")
        latent_channels: int = Field(default=8, gt=0, le=1024, description="channels Z of the latents")
        groups: int = Field(default=32, gt=0, le=1024, description="groups of channels that are normalised together")
        attention: bool = Field(default=True, description="self-attention in the middle of both halves")
        time_first: bool = Field(
            default=True, description="pictures are (time, bands), as in AudioLDM; false: (bands, time), as in Amphion"
        )
        latent_scale: float = Field(
            default=1.0, gt=0, le=1e6, description="published factor that gives latents a deviation of 1; 1: not known"
        )

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if wrong := [size for size in self.channels if size <= 0 or size % self.groups]:
                raise ValueError(f"channels: {wrong[0]} is not a positive multiple of groups {self.groups}")
            if self.mel.n_mels % self.reduction:
                raise ValueError(
                    f"channels: {len(self.channels)} levels need a multiple of {self.reduction} mel bands,"
                    f" and mel.n_mels is {self.mel.n_mels}"
                )
            return self

        @property
        def reduction(self) -> int:
            """Frames, and bands, that one latent stands for in each direction."""
            return int(2 ** (len(self.channels) - 1))

    config: Config
    layouts = ("diffusers", "haoheliu", "amphion")
    needs_packages = ("diffusers",)

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without diffusers."""
        super().__init__(config)
        levels = len(config.channels)
        self.network = diffusers_class("AutoencoderKL")(
            in_channels=1,
            out_channels=1,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=config.channels,
            layers_per_block=config.blocks,
            latent_channels=config.latent_channels,
            norm_num_groups=config.groups,
            mid_block_add_attention=config.attention,
        )

    @classmethod
    def example_config(cls) -> Config:
        """Two small levels and eight bands."""
        mel = MelConfig.preset("audioldm_16k_64").replace(n_mels=8)
        return cls.Config(mel=mel, channels=(4, 8), blocks=1, latent_channels=2, groups=2)

    def example_inputs(self) -> dict[str, Any]:
        """A mel of eight latents in time."""
        generator = torch.Generator().manual_seed(0)
        mel = torch.randn(2, self.config.mel.n_mels, 8 * self.config.reduction, generator=generator)
        posterior_shape = self.latent_shape(mel.shape[2])
        return {"mel": mel, "noise": torch.randn(2, *posterior_shape, generator=generator)}

    def latent_shape(self, frames: int) -> tuple[int, int, int]:
        """(Z, H, W), the latents of a mel of ``frames`` frames, rounded up to whole latents."""
        bands, length = self.config.mel.n_mels // self.config.reduction, self.latent_frames(frames)
        size = (length, bands) if self.config.time_first else (bands, length)
        return (self.config.latent_channels, *size)

    def latent_frames(self, frames: int) -> int:
        """How many latents in time a mel of ``frames`` frames has, rounded up."""
        return -(-frames // self.config.reduction)

    @property
    def hop_length(self) -> int:
        """Samples of audio that one latent in time stands for."""
        return self.config.mel.hop_length * self.config.reduction

    @property
    def time_axis(self) -> int:
        """The axis of latents (B, Z, H, W) that is time: 2 or 3."""
        return 2 if self.config.time_first else 3

    def encode(self, mel: Tensor) -> Posterior:
        """(B, F, N) -> the distribution of latents. Missing frames at the end are silence, so N may be any number.

        Raises AudioError for another number of bands.
        """
        if mel.dim() != 3 or mel.shape[1] != self.config.mel.n_mels or not mel.shape[2]:
            raise AudioError(
                f"mels of shape {tuple(mel.shape)}: the autoencoder takes (B, F, N) with F = {self.config.mel.n_mels}",
                hint="compute them with the mel convention of the autoencoder's config",
            )
        missing = -mel.shape[2] % self.config.reduction
        if missing:
            mel = torch.nn.functional.pad(mel, (0, missing), value=silence(self.config.mel))
        image = (mel.mT if self.config.time_first else mel)[:, None]
        moments = self.network.quant_conv(self.network.encoder(image))  # (B, 2 Z, H, W)
        mean, log_variance = moments.chunk(2, 1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCES))

    def decode(self, latents: Tensor) -> Tensor:
        """(B, Z, H, W) -> (B, F, N), N = latents in time * ``reduction``."""
        image = self.network.decoder(self.network.post_quant_conv(latents))[:, 0]
        return image.mT if self.config.time_first else image

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Posterior]:
        """(B, F, N) -> the mel decoded from latents drawn with ``noise`` (B, Z, H, W), or from the mean; the posterior.

        N is a multiple of ``reduction``.
        """
        posterior = self.encode(mel)
        return self.decode(posterior.mean if noise is None else posterior.sample(noise)), posterior

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published autoencoder as (Config, state dict); sizes are those of the tensors. Raises WeightsError."""
        state = strip_prefix(unwrap(state, "state_dict", "model"), "module.")
        prefix = "first_stage_model." if any(name.startswith("first_stage_model.") for name in state) else ""
        scale = state.get("scale_factor")
        tensors = compvis_names.only(state, PARTS, prefix)
        if layout != "diffusers":
            tensors = compvis_names.autoencoder_names(tensors)
        given = flat_values(config)
        stated = (
            given.number("scaling_factor", 1.0) if layout == "diffusers" else float(1.0 if scale is None else scale)
        )
        fields = sizes(tensors) | {
            "mel": "tta_16k_80" if layout == "amphion" else "audioldm_16k_64",
            "time_first": layout != "amphion",
            "groups": given.whole("norm_num_groups", 32),
            "latent_scale": stated,
        }
        checked = validate(cls.Config, fields, where="the published autoencoder")
        return checked, {f"network.{name}": tensor for name, tensor in tensors.items()}


def silence(mel: MelConfig) -> float:
    """The value of a mel where there is no sound."""
    from amphion_core.features.mel import mel_spectrogram

    return float(mel_spectrogram(torch.zeros(1, mel.n_fft * 2), mel).flatten()[0])


def sizes(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of an autoencoder with the names of diffusers, as fields of Config. Raises WeightsError."""
    levels = compvis_names.count(tensors, r"encoder\.down_blocks\.([0-9]+)\.")
    try:
        return {
            "channels": tuple(
                int(tensors[f"encoder.down_blocks.{level}.resnets.0.conv2.weight"].shape[0]) for level in range(levels)
            ),
            "blocks": compvis_names.count(tensors, r"encoder\.down_blocks\.0\.resnets\.([0-9]+)\."),
            "latent_channels": int(tensors["post_quant_conv.weight"].shape[0]),
            "attention": "encoder.mid_block.attentions.0.to_q.weight" in tensors,
        }
    except KeyError as error:
        raise WeightsError(
            f"this is no autoencoder of mels: it has no tensor {error.args[0]}",
            hint="give the publisher's file of the autoencoder, and check the layout: amphion info autoencoder/kl",
        ) from error
