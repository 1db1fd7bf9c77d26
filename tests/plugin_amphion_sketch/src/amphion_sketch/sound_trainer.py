"""Trains the flow of SketchSound; the autoencoder in the model and the text encoder of the trainer stay frozen."""

from collections.abc import Iterator
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Batch,
    ModelArchitecture,
    ModelPart,
    ModelTrainer,
    Update,
    Validation,
)
from amphion_sketch.batches import valid


class SketchSoundTrainer(ModelTrainer):
    """Flow matching: the velocity from noise to the latents of the frozen autoencoder."""

    class Config(BaseConfig):
        """The text encoder."""

        text_encoder: ModelPart = Field(
            default_factory=lambda: ModelPart.named("text_encoder/sketch_words"), description="encodes the captions"
        )

    config: Config
    example_model = "tta/sketch_sound"
    higher_is_better = {"flow": False}

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        super().__init__(config, model=model)
        self.encoders: dict[str, Any] = {"text": config.text_encoder.build()}

    @property
    def sample_rate(self) -> int:
        """The autoencoder's."""
        return int(self.model.autoencoder.sample_rate)

    def networks(self) -> dict[str, nn.Module]:
        """The flow alone, a part of the model."""
        return {"flow": self.model.flow}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """The squared error of the velocity, over the frames of the whole step."""
        error, _ = self._error(batch)
        yield Update("flow", error.mean(1).sum() / batch.totals["samples"] * self.model.autoencoder.hop_length)

    def validation_step(self, batch: Batch) -> Validation:
        """The mean squared error of each item."""
        error, lengths = self._error(batch)
        return Validation({"flow": (error.mean(1) / lengths).tolist()})

    def _error(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Squared error of each channel (B, C), summed over an item's frames; and the frames (B)."""
        codec = self.model.autoencoder
        lengths = batch["lengths"] // codec.hop_length
        wave = batch["wave"][:, None, : int(lengths.max()) * codec.hop_length]
        with torch.no_grad():
            mask = valid(lengths, int(lengths.max()))
            latents = codec.latents(codec.encode(wave)).clone() * mask
            condition = self.encoders["text"].encode(batch.texts["caption"])
        time = torch.rand(len(latents), device=latents.device)
        start = torch.randn_like(latents)
        mixed = start + time[:, None, None] * (latents - start)
        velocity = self.model(mixed, lengths, time, condition)
        return ((velocity - (latents - start)).square() * mask).sum(2), lengths
