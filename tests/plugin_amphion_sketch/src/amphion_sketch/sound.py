"""SketchSound: captions to sound, by a flow in the latents of a frozen autoencoder.

Lipman et al.: "Flow Matching for Generative Modeling", arXiv:2210.02747: straight paths from noise to data.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, ModelPart, Synthesis, TextCondition, TextToAudio
from amphion_sketch.batches import noise, valid

STEPS = 8  # steps from noise to data, unless a request states them


class Flow(nn.Module):
    """The velocity at latents (B, C, N), time (B) and a condition (B, G)."""

    def __init__(self, latents: int, condition: int, channels: int) -> None:
        super().__init__()
        self.input = nn.Conv1d(latents, channels, 3, padding=1)
        self.condition = nn.Linear(condition + 1, channels)
        self.output = nn.Conv1d(channels, latents, 1)

    def forward(self, latents: Tensor, time: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        shift = self.condition(torch.cat([condition, time[:, None]], 1))[..., None]
        return self.output(torch.relu(self.input(latents * mask) + shift)) * mask


class SketchSound(TextToAudio):
    """Encoded captions -> wave (B, T). The autoencoder is a part of the model that its trainer does not train."""

    class Config(BaseConfig):
        """The autoencoder and the sizes of the flow."""

        autoencoder: ModelPart = Field(
            default_factory=lambda: ModelPart.named("codec/sketch_codec"), description="codec whose latents are made"
        )
        condition_dim: int = Field(default=8, gt=0, description="values of an encoded caption")
        channels: int = Field(default=32, gt=0, description="channels of the flow")

    class Controls(BaseConfig):
        """What a request may change."""

        steps: int | None = Field(default=None, ge=1, le=1000, description="steps from noise to data (8)")
        guidance: float | None = Field(default=None, ge=0, le=20, description="weight of the caption (1)")

    config: Config
    output = "wave"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.autoencoder = config.autoencoder.build().requires_grad_(False)
        self.flow = Flow(config.autoencoder.config.channels, config.condition_dim, config.channels)

    @property
    def sample_rate(self) -> int:
        """Hz of the autoencoder."""
        return int(self.autoencoder.sample_rate)

    @classmethod
    def example_config(cls) -> Config:
        """A tiny autoencoder."""
        codec = ModelPart.named("codec/sketch_codec", hop_length=16, channels=4, codebook_size=8)
        return cls.Config(autoencoder=codec, condition_dim=8, channels=8)

    def example_inputs(self) -> dict[str, Any]:
        """Two captions of three and two words, with latents of six and four frames."""
        mask = valid(torch.tensor([3, 2]), 3)[:, 0]
        states = torch.linspace(-1, 1, 6 * self.config.condition_dim).view(2, 3, -1) * mask[..., None]
        condition = TextCondition(states, mask, states.mean(1))
        size = self.config.autoencoder.config.channels
        return {
            "latents": torch.linspace(-1, 1, 12 * size).view(2, size, 6), "lengths": torch.tensor([6, 4]),
            "time": torch.tensor([0.2, 0.7]), "condition": condition,
        }  # fmt: skip

    def forward(self, latents: Tensor, lengths: Tensor, time: Tensor, condition: TextCondition) -> Tensor:
        """Noisy latents (B, C, N), time (B) -> velocity (B, C, N)."""
        return self.flow(latents, time, condition.pooled, valid(lengths, latents.shape[2]))

    @torch.inference_mode()
    def sample(
        self,
        condition: TextCondition,
        *,
        duration: float,
        negative: TextCondition | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Encoded captions (B) -> wave (B, T), T the whole frames of ``duration`` seconds."""
        controls = controls or self.Controls()
        count, steps = len(condition.states), controls.steps or STEPS
        guidance = 1.0 if controls.guidance is None else controls.guidance
        size = round(duration * self.autoencoder.frame_rate)
        lengths = torch.full((count,), size, device=self.device)
        latents = noise(count, (self.config.autoencoder.config.channels, size), seed, self.device)
        for step in range(steps):
            time = torch.full((count,), step / steps, device=self.device)
            velocity = self(latents, lengths, time, condition)
            if negative is not None:
                other = self(latents, lengths, time, negative)
                velocity = other + guidance * (velocity - other)
            latents = latents + velocity / steps
        wave = self.autoencoder.decode_latents(latents)[:, 0].clamp(-1, 1)
        return Synthesis(lengths * self.autoencoder.hop_length, wave=wave)
