"""What the trainers of vocoders and codecs share: a mel convention, and a validation by copies of recordings."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from amphion_core.api import (
    Audio,
    BaseConfig,
    Batch,
    MelConfig,
    MetricPart,
    ModelArchitecture,
    ModelTrainer,
    Validation,
)
from amphion_core.features.mel import hop_aligned_mel, mel_spectrogram
from amphion_core.training.metrics import validation_metrics, validation_score


class VocoderTrainer(ModelTrainer):
    """A trainer of a vocoder, which validates by copy synthesis. A subclass checks its model before it calls this."""

    class Config(BaseConfig):
        """What a validation measures."""

        metrics: tuple[MetricPart, ...] = Field(
            default=(), description="metrics of copy synthesis at each validation: pesq_wb, stoi, m_stft, mcd"
        )

    config: Config
    trains = "vocoder"
    example_crop: ClassVar[int | None] = 2048
    errors: ClassVar[tuple[str, ...]] = ("mel",)  # scores of a validation beside the metrics; lower is better

    @classmethod
    def example_config(cls) -> Config:
        """The defaults."""
        return cls.Config()

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for metrics that copies cannot be scored with."""
        super().__init__(config, model=model)
        self.mel = self.mel_of(model)
        self.metrics = validation_metrics(config.metrics, frozenset({"reference"}), "pairs of recording and copy")
        self.higher_is_better = dict.fromkeys(self.errors, False) | {
            name: metric.higher_is_better for name, metric in self.metrics.items()
        }

    @classmethod
    def mel_of(cls, model: ModelArchitecture) -> MelConfig:
        """The mel convention of copies: that of the model's config."""
        mel: MelConfig = model.config.mel
        return mel

    @property
    def sample_rate(self) -> int:
        """The sample rate of the mel, Hz."""
        return self.mel.sample_rate

    def aligned(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) -> mel (B, F, N) and recordings (B, N * hop), N = T // hop."""
        mel = hop_aligned_mel(wave, self.mel)
        return mel, wave[:, : mel.shape[2] * self.mel.hop_length]

    def validation(
        self, made: Tensor, recordings: Tensor, batch: Batch, scores: Mapping[str, Sequence[float]], *, mel: MelConfig
    ) -> Validation:
        """Copies and recordings (B, T) -> ``scores`` and each metric, for each item; the copies, and their mels."""
        found = dict(scores)
        if self.metrics:
            pairs = [
                tuple(Audio(wave.cpu().clamp(-1, 1).numpy(), mel.sample_rate) for wave in pair)
                for pair in zip(made, recordings, strict=True)
            ]
            for name in self.metrics:
                found[name] = [validation_score(self.metrics, name, copy, recording) for copy, recording in pairs]
        names = [id.replace("/", "_") for id in batch.ids]
        pictures = mel_spectrogram(made, mel).cpu()
        return Validation(found, dict(zip(names, made.cpu(), strict=True)), dict(zip(names, pictures, strict=True)))
