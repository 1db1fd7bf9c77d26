"""Trains SketchConverter from cached features of three frame rates: 50 Hz, the mel's rate, one per utterance."""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Batch, FeaturePart, ModelTrainer, Update, Validation
from amphion_sketch.batches import valid


class SketchConverterTrainer(ModelTrainer):
    """Reconstruction of each recording from its own features."""

    class Config(BaseConfig):
        """Which features serve as F0 and as the voice."""

        f0: FeaturePart | None = Field(default=None, description="F0 extractor; null: f0_dio with the model's mel")
        voice: FeaturePart = Field(
            default_factory=lambda: FeaturePart.named("sketch_voice"), description="vector of the voice"
        )

    config: Config
    example_model = "svc/sketch_converter"
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
        """The model's features, F0, the voice, and the mel that is learned."""
        mel = self.model.config.mel
        return {
            **self.model.features,
            "f0": self.config.f0 or FeaturePart.named("f0_dio", mel=mel),
            "voice": self.config.voice,
            "mel": FeaturePart.named("mel", mel=mel),
        }

    def networks(self) -> dict[str, nn.Module]:
        """The whole model."""
        return {"converter": self.model}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """The distance of the mel."""
        yield Update("converter", self._distance(batch).sum() / batch.totals["mel"])

    def validation_step(self, batch: Batch) -> Validation:
        """The mean distance of each item's mel."""
        return Validation({"mel": (self._distance(batch).sum(1) / batch["mel_lengths"]).tolist()})

    def _distance(self, batch: Batch) -> Tensor:
        """(B, N), 0 where an item has no data."""
        lengths = batch["mel_lengths"]
        features = {name: batch[name] for name in self.model.features}
        lead = batch["mel_offset"] - batch["content_offset"]
        made = self.model(features, lengths, batch["voice"], batch["f0"][:, 0], lead.float())
        return (made - batch["mel"]).abs().mean(1) * valid(lengths, made.shape[2])[:, 0]
