"""Latent diffusion of sounds: noise becomes latents that fit a caption, and an autoencoder makes a mel of them.

Rombach et al.: "High-Resolution Image Synthesis with Latent Diffusion Models", arXiv:2112.10752. Guidance is
classifier-free: Ho, Salimans, arXiv:2207.12598. The models tta/audioldm and tta/audioldm_t5 differ in the condition,
the sizes and the layouts. Letters: B batch, T samples, F bands, N frames, Z latent channels, H and W sizes of the
latents.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import BaseConfig, MelConfig, Synthesis, TextCondition, TextToAudio
from amphion_core.errors import DataError
from amphion_core.features.mel import hop_aligned_mel
from amphion_core.modules.diffusion import Diffusion, Sampler, sample
from amphion_core.modules.item_noise import generators
from amphion_core.recording import steps_as_mels
from amphion_tta.autoencoders import AutoencoderPart
from amphion_tta.models.latent_unet import LatentUNet, UNetConfig

if TYPE_CHECKING:
    from amphion_core.data.facts import CorpusFacts
    from amphion_tta.models.autoencoder_kl import AutoencoderKL


class LatentDiffusion(TextToAudio):
    """Captions to mels by diffusion in the latents of an autoencoder."""

    class Config(BaseConfig):
        """The parts of the model, the diffusion, and what a request gets that states nothing."""

        autoencoder: AutoencoderPart = Field(description="autoencoder of mels: its latents are generated")
        unet: UNetConfig = Field(default_factory=UNetConfig, description="sizes of the network that finds the noise")
        text_encoder: str = Field(
            default="text_encoder/sentence",
            description="encoder of captions: a card, a weights folder, or an encoder without weights",
        )
        text_encoder_fingerprint: str = Field(
            default="", description="checksum of the encoder's weights in the training; empty: not known"
        )
        condition_dim: int = Field(
            default=768, gt=0, le=16384, description="values of each state, or of the pooled vector, of the encoder"
        )
        diffusion: Diffusion = Field(
            default=Diffusion(first_noise=0.00085, last_noise=0.012, schedule="scaled_linear", clip="never"),
            description="noise of the training, and what the network predicts",
        )
        latent_scale: float | None = Field(
            default=None, gt=0, le=1e6,
            description="factor of the latents; null: one by their deviation, measured once before the first step",
        )  # fmt: skip
        sampler: Sampler = Field(default="ddim", description="sampler of a request that states none")
        steps: int = Field(default=200, ge=1, le=1000, description="steps of a request that states none")
        guidance: float = Field(default=2.5, ge=0, le=100, description="guidance of a request that states none")

        @property
        def mel(self) -> MelConfig:
            """The mel convention of the autoencoder."""
            mel: MelConfig = self.autoencoder.config.mel
            return mel

    class Controls(BaseConfig):
        """What a request may change; None means the model's own value."""

        sampler: Sampler | None = Field(default=None, description="ddpm, ddim, pndm or dpm_solver (DPM-Solver++)")
        steps: int | None = Field(default=None, ge=1, le=1000, description="steps of the sampler; more take longer")
        guidance: float | None = Field(
            default=None, ge=0, le=100,
            description="how strongly the caption counts against the negative caption; 1: the caption alone",
        )  # fmt: skip

    config: Config
    can_edit = True
    max_duration = 60.0  # seconds; attention compares all latents with each other, so memory grows with the square
    needs_packages = ("diffusers",)
    condition: ClassVar[Literal["states", "pooled"]] = "states"  # what the network reads of a caption

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without diffusers."""
        super().__init__(config)
        self.autoencoder: AutoencoderKL = config.autoencoder.build().requires_grad_(False)
        channels = config.autoencoder.config.latent_channels
        size = {"context_dim" if self.condition == "states" else "pooled_dim": config.condition_dim}
        scale = config.autoencoder.config.latent_scale if config.latent_scale is None else config.latent_scale
        self.unet = LatentUNet(
            config.unet, in_channels=channels, out_channels=channels, latent_scale=scale, **size
        )  # fmt: skip

    def train(self, mode: bool = True) -> Self:
        """Train or eval mode. The autoencoder always stays in eval mode."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def example_inputs(self) -> dict[str, Any]:
        """Noisy latents, steps and two captions, of which the second is shorter."""
        generator = torch.Generator().manual_seed(0)
        latents = torch.randn(2, *self.autoencoder.latent_shape(10), generator=generator)
        size = self.config.condition_dim
        states = torch.randn(2, 3, size, generator=generator)
        mask = torch.tensor([[True, True, True], [True, True, False]])
        pooled = torch.randn(2, size, generator=generator)
        return {
            "latents": latents, "step": torch.tensor([3, 500]), "condition": TextCondition(states, mask, pooled),
        }  # fmt: skip

    def forward(self, latents: Tensor, step: Tensor, condition: TextCondition) -> Tensor:
        """Noisy latents (B, Z, H, W), step (B) of the training -> noise or velocity (B, Z, H, W).

        Raises DataError for captions of an encoder with another number of values.
        """
        given = condition.states if self.condition == "states" else condition.pooled
        if given is not None and given.shape[-1] != self.config.condition_dim:
            raise DataError(
                f"the model reads captions with {self.config.condition_dim} values, and these have {given.shape[-1]}",
                hint=f"use the text encoder of the model: {self.config.text_encoder}",
            )
        return self.unet(latents, step, condition)

    def latents(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Recordings (B, T) -> their mels (B, F, N) and scaled latents (B, Z, H, W), the means. Raises AudioError."""
        mel = hop_aligned_mel(wave, self.config.mel)
        return mel, self.autoencoder.encode(mel).mean * self.unet.latent_scale

    @torch.no_grad()
    def sample(
        self,
        condition: TextCondition,
        *,
        duration: float,
        negative: TextCondition | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Encoded captions (B) -> mels (B, F, N) that cover ``duration`` seconds. Item b draws from ``seed + b``.

        Without ``negative`` there is no guidance. Raises DataError for more than ``max_duration``, and where the
        network gives numbers that are not finite.
        """
        mel = self.config.mel
        self._require_short(duration)
        frames = max(1, math.ceil(duration * mel.sample_rate / mel.hop_length - 1e-6))
        noise, draws = self._noise(len(condition.states), frames, seed)
        made = self._generate(condition, negative, noise, draws, controls)
        return self._synthesis(self._decoded(made)[..., :frames])

    @torch.no_grad()
    def edit(
        self,
        condition: TextCondition,
        wave: Tensor,
        *,
        strength: float = 0.6,
        regions: Sequence[tuple[float, float]] = (),
        negative: TextCondition | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Recordings (B, T) that become what the captions say, or whose ``regions`` do; see `TextToAudio.edit`.

        Regions are widened to whole latents. Outside of them, the mels are those of the recordings. Raises DataError
        for a strength that is not over 0 and at most 1, and for a region that is not within the recordings.
        """
        if not 0 < strength <= 1:
            raise DataError(f"a strength of {strength:g} is not over 0 and at most 1", hint="choose 0.3 to 0.8")
        self._require_short(wave.shape[1] / self.sample_rate)
        wave = wave.to(self.device)
        given, start = self.latents(wave)
        frames = given.shape[2]
        noise, draws = self._noise(len(wave), frames, seed)
        kept = self._kept(regions, wave.shape[1], start) if regions else None
        made = self._decoded(
            self._generate(condition, negative, noise, draws, controls, start=start, strength=strength, kept=kept)
        )[..., :frames]
        if kept is not None:
            in_time = kept[0].any(4 - self.autoencoder.time_axis)[0]
            whole = in_time.repeat_interleave(self.autoencoder.config.reduction)[:frames]
            made = torch.where(whole, given, made)
        return self._synthesis(made)

    def _require_short(self, duration: float) -> None:
        if self.max_duration is not None and duration > self.max_duration:
            raise DataError(
                f"{duration:g} seconds were asked for, and this model makes at most {self.max_duration:g}",
                hint=f"choose at most {self.max_duration:g} seconds",
            )

    def _kept(self, regions: Sequence[tuple[float, float]], samples: int, latents: Tensor) -> Tensor:
        """True for the latents outside of all regions, which are in seconds: (1, 1, H, W)."""
        mel, axis = self.config.mel, self.autoencoder.time_axis
        step = self.autoencoder.hop_length / mel.sample_rate  # seconds of a latent
        duration = samples / mel.sample_rate
        kept = torch.ones(latents.shape[axis], dtype=torch.bool, device=latents.device)
        for begin, end in regions:
            if not 0 <= begin < end <= duration + 0.01:
                raise DataError(
                    f"the region from {begin:g} to {end:g} s is not within the recording of {duration:.2f} s",
                    hint="state the start and the end of each region in seconds, the start first",
                )
            kept[int(begin / step + 1e-6) : max(1, round(end / step + 0.499999))] = False
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        return kept.view(shape).expand(1, 1, *latents.shape[2:])

    def _noise(self, count: int, frames: int, seed: int | None) -> tuple[Tensor, list[torch.Generator]]:
        """Standard normal latents (B, Z, H, W) for ``frames`` frames, and the sources of the items' random numbers."""
        draws = generators(seed, count, self.device)
        shape = self.autoencoder.latent_shape(frames)
        return torch.stack([torch.randn(shape, generator=draw, device=self.device) for draw in draws]), draws

    def _generate(
        self, condition: TextCondition, negative: TextCondition | None, noise: Tensor,
        draws: list[torch.Generator], controls: Any, **start: Any,
    ) -> Tensor:  # fmt: skip
        """Noise (B, Z, H, W) -> scaled latents (B, Z, H, W). Raises DataError where they are not finite."""
        c, asked = self.config, controls or self.Controls()
        guidance = c.guidance if asked.guidance is None else asked.guidance
        guided = negative is not None and guidance != 1
        both = on_device(stacked(negative, condition) if guided and negative is not None else condition, self.device)

        def predict(x: Tensor, step: Tensor) -> Tensor:
            with self.autocast():
                if not guided:
                    return self(x, step, both).float()
                without, with_caption = self(x.repeat(2, 1, 1, 1), step.repeat(2), both).float().chunk(2)
            return without + guidance * (with_caption - without)

        with steps_as_mels(self._decoded, c.mel):
            made = sample(
                predict, noise, sampler=asked.sampler or c.sampler, steps=asked.steps or c.steps,
                diffusion=c.diffusion, generator=draws, **start,
            )  # fmt: skip
        if not bool(made.isfinite().all()):
            raise DataError(
                "the network made latents that are not finite numbers, so there is no sound",
                hint="lower the guidance, or check the weights: they may be damaged or not trained",
            )
        return made

    def _decoded(self, latents: Tensor) -> Tensor:
        """Scaled latents (B, Z, H, W) -> mels (B, F, N), one item after the other, so that memory stays small."""
        with self.autocast():
            mels = [self.autoencoder.decode(one[None] / self.unet.latent_scale).float() for one in latents]
        return torch.cat(mels)

    @staticmethod
    def _synthesis(mel: Tensor) -> Synthesis:
        return Synthesis(torch.full((len(mel),), mel.shape[2], device=mel.device), mel=mel)

    @classmethod
    def config_for(cls, config: Any, facts: "CorpusFacts") -> Any:
        """``config`` with the fingerprint of its text encoder.

        Raises DataError for an encoder with another number of values than ``condition_dim``, and what opening it
        raises.
        """
        from amphion_tta.opening import open_text_encoder

        encoder = open_text_encoder(config.text_encoder)
        size = encoder.dim if cls.condition == "states" else encoder.pooled_dim
        if size != config.condition_dim:
            raise DataError(
                f"model.condition_dim is {config.condition_dim}, and {config.text_encoder} gives {size or 'no'} values",
                hint=f"state model.condition_dim={size}" if size else "use a text encoder with a pooled vector",
            )
        return config.replace(text_encoder_fingerprint=encoder.fingerprint())


def stacked(first: TextCondition, second: TextCondition) -> TextCondition:
    """Two sets of captions as one batch, the first before the second. Shorter ones get states that are not valid."""
    length = max(first.states.shape[1], second.states.shape[1])

    def longer(one: TextCondition) -> tuple[Tensor, Tensor]:
        missing = length - one.states.shape[1]
        return F.pad(one.states, (0, 0, 0, missing)), F.pad(one.mask, (0, missing))

    (states, mask), (more_states, more_mask) = longer(first), longer(second)
    pooled = None
    if first.pooled is not None and second.pooled is not None:
        pooled = torch.cat([first.pooled, second.pooled])
    return TextCondition(torch.cat([states, more_states]), torch.cat([mask, more_mask]), pooled)


def on_device(condition: TextCondition, device: torch.device) -> TextCondition:
    """The condition with its tensors on ``device``."""
    pooled = None if condition.pooled is None else condition.pooled.to(device)
    return TextCondition(condition.states.to(device), condition.mask.to(device), pooled)
