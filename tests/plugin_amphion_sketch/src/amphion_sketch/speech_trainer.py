"""Trains SketchSpeech as two networks, each a part of the model with its own optimiser."""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Batch,
    Collate,
    FeaturePart,
    ModelTrainer,
    Update,
    Validation,
)
from amphion_sketch.batches import valid
from amphion_sketch.texts import SpeechCollate


class SketchSpeechTrainer(ModelTrainer):
    """First the text encoder is updated, then the decoder against the updated encoder."""

    class Config(BaseConfig):
        """The weight of the durations."""

        duration_weight: float = Field(default=0.1, ge=0, description="weight of the squared error of log durations")

    config: Config
    example_model = "tts/sketch_speech"
    higher_is_better = {"mel": False}

    @property
    def sample_rate(self) -> int:
        """The rate of the model's mel, Hz."""
        return int(self.model.config.mel.sample_rate)

    @property
    def hop_length(self) -> int:
        """The hop of the model's mel, samples."""
        return int(self.model.config.mel.hop_length)

    def features(self) -> dict[str, FeaturePart]:
        """The mel that is learned, from the cache."""
        return {"mel": FeaturePart.named("mel", mel=self.model.config.mel)}

    def networks(self) -> dict[str, nn.Module]:
        """Two parts of the model."""
        return {"text": self.model.encoder, "speech": self.model.decoder}

    def collator(self) -> Collate:
        """Holds the model's frontend and its speakers."""
        return SpeechCollate(self.model.config.frontend.build(), self.model.config.speakers)

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """The loss of the mel and of the durations for the encoder, that of the mel for the decoder."""
        distance, durations = self._losses(batch)
        mel, duration = distance.sum() / batch.totals["mel"], durations.sum() / batch.totals["tokens"]
        yield Update("text", mel + self.config.duration_weight * duration, {"duration": duration})
        distance, _ = self._losses(batch)
        mel = distance.sum() / batch.totals["mel"]
        yield Update("speech", mel, {"mel": mel})

    def validation_step(self, batch: Batch) -> Validation:
        """The mean distance of each item's mel."""
        distance, _ = self._losses(batch)
        return Validation({"mel": (distance.sum(1) / batch["mel_lengths"]).tolist()})

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Distance of each frame (B, N), squared error of each log duration (B, L); 0 where an item has no data."""
        frames, lengths = batch["mel_lengths"], batch["id_lengths"]
        made, log_durations = self.model(batch["ids"], lengths, frames, batch["speaker"])
        distance = (made - batch["mel"]).abs().mean(1) * valid(frames, made.shape[2])[:, 0]
        wanted = (frames / lengths).log()[:, None]
        return distance, (log_durations - wanted).square() * valid(lengths, log_durations.shape[1])[:, 0]
