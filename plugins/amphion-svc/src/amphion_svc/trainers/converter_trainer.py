"""What the trainers of all converters share: batches of recordings with their features, and validation by converting.

A converter learns to make each recording from its own features. Letters: B batch, F bands, N frames, T samples.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import (
    BaseConfig,
    Batch,
    Example,
    FeaturePart,
    MelConfig,
    ModelArchitecture,
    ModelTrainer,
    Validation,
    VoiceConverter,
)
from amphion_core.data.batch import collate_audio, pad
from amphion_core.errors import DataError, RecipeError
from amphion_core.features.mel import mel_spectrogram
from amphion_core.speakers import speaker_index
from amphion_svc.converted_validation import ConversionMetrics, ConvertedValidation
from amphion_svc.models.conditioned import LOUDNESS, ConditionedConverter

F0, VOICE = "f0", "voice"  # names in the batch


class Learned(NamedTuple):
    """A batch as a converter learns it.

    ``mel`` (B, F, N) is that of the recordings, ``lengths`` (B) are their frames, ``mask`` (B, 1, N) is 1 where they
    are valid. ``inputs`` are the arguments of `ConditionedConverter.encode` by name.
    """

    mel: Tensor
    lengths: Tensor
    mask: Tensor
    inputs: dict[str, Any]


class ConverterTrainer(ModelTrainer):
    """A trainer of a converter with conditions. A subclass has the networks, the step and a validation."""

    class Config(BaseConfig):
        """What a validation measures."""

        validation: ConversionMetrics = Field(
            default_factory=ConversionMetrics, description="metrics of recordings that get another voice"
        )

    config: Config
    trains = "svc"
    validation_partners = "other voice"

    @classmethod
    def example_config(cls) -> Config:
        """The defaults."""
        return cls.Config()

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for a converter that has no conditions, and for metrics that cannot be computed."""
        if not isinstance(model, ConditionedConverter):
            raise RecipeError(f"this trainer cannot train {type(model).__name__}", hint="amphion list models 'svc/*'")
        super().__init__(config, model=model)
        self.network = model
        self.mel: MelConfig = model.config.mel
        self.converted = ConvertedValidation(config.validation, model)
        self.higher_is_better = {"mel": False} | dict(self.converted.higher_is_better)

    @property
    def sample_rate(self) -> int:
        """The rate of the model's mel, Hz."""
        return self.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """The hop of the model's mel, samples."""
        return self.mel.hop_length

    def features(self) -> dict[str, FeaturePart]:
        """The content features, F0, and the vector of the voice where the model reads one. Loudness is not stored."""
        found = {name: part for name, part in self.network.features.items() if name != LOUDNESS}
        found[F0] = self.network.pitch_feature
        return found | ({} if self.network.voice_feature is None else {VOICE: self.network.voice_feature})

    def collator(self) -> "SpeakerCollator":
        """Recordings and features, with the numbers of the singers."""
        c = self.network.config
        return SpeakerCollator(self.mel, None if c.voice is not None else c.speakers)

    def learned(self, batch: Batch) -> Learned:
        """The mels, masks and conditions of a batch."""
        from amphion_svc.features.loudness import loudness_of_mel

        mel = mel_spectrogram(batch["wave"], self.mel, batch["lengths"])
        lengths, size = batch["frames"], mel.shape[2]
        mask = (torch.arange(size, device=mel.device) < lengths[:, None])[:, None].to(mel.dtype)
        content = [part.name for part in self.network.config.content]
        features = {name: batch[name] for name in content}
        if self.network.config.loudness:
            features[LOUDNESS] = loudness_of_mel(mel, self.mel)
        inputs = {
            "features": features,
            "lengths": lengths,
            "speaker": batch[VOICE if self.network.config.voice is not None else "speaker"],
            "f0": fitted(batch[F0][:, 0], size),
            "counts": {name: batch[f"{name}_lengths"] for name in content},
            "offsets": {name: batch[f"{name}_offset"] for name in content},
        }
        return Learned(mel, lengths, mask, inputs)

    def validated(
        self, network: VoiceConverter, batch: Batch, errors: dict[str, Sequence[float]], made: Tensor
    ) -> Validation:
        """The ``errors`` of a validation, and what the metrics say of the batch in other voices.

        ``made`` (B, F, N) are the mels of the recordings as the network makes them; they become pictures.
        """
        found = self.converted(network, batch)
        pictures = {
            id.replace("/", "_"): made[item, :, :count].float().cpu()
            for item, (id, count) in enumerate(zip(batch.ids, batch["frames"].tolist(), strict=True))
        }
        return Validation({**errors, **found.scores}, found.audio, {**pictures, **found.pictures})


class SpeakerCollator:
    """Recordings and features as `collate_audio` gives them, with the mel frames and the numbers of the singers.

    ``frames`` (B) are the frames of each item's mel, which are counted too. ``speaker`` (B) are indices in
    ``speakers``, 0 for a model of one singer; it is left out where ``speakers`` is None. If every example has a
    partner, ``other`` (B, T), ``other_lengths`` (B) and ``other_speaker`` (B) are those of the partners.
    """

    def __init__(self, mel: MelConfig, speakers: Sequence[str] | None) -> None:
        self.mel, self.speakers = mel, speakers

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch of ``examples``. Raises DataError that names the item whose singer the model does not know."""
        batch = collate_audio(examples)
        frames = [self.mel.frames(len(example.wave)) for example in examples]
        batch.tensors["frames"] = torch.tensor(frames)
        batch.counts["frames"] = sum(frames)
        others = [example.partner for example in examples if example.partner is not None]
        if len(others) == len(examples):
            batch.tensors["other"], batch.tensors["other_lengths"] = pad([other.wave for other in others])
        if self.speakers is not None:
            batch.tensors["speaker"] = torch.tensor([self._speaker(example, self.speakers) for example in examples])
            if "other" in batch:
                found = [self._speaker(example, self.speakers) for example in others]
                batch.tensors["other_speaker"] = torch.tensor(found)
        return batch

    @staticmethod
    def _speaker(example: Example, speakers: Sequence[str]) -> int:
        if len(speakers) < 2:
            return 0
        try:
            return speaker_index(example.utterance.speaker, speakers)
        except DataError as error:
            raise DataError(f"item {example.utterance.id}: {error.message}", hint=error.hint) from error


def fitted(values: Tensor, count: int) -> Tensor:
    """Values of frames (B, M) with exactly ``count`` frames: cut, or the last one repeated."""
    missing = count - values.shape[1]
    return values[:, :count] if missing <= 0 else torch.cat([values, values[:, -1:].expand(-1, missing)], 1)
