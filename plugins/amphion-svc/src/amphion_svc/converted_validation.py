"""Validation by converting: the network gives each recording of a batch the voice of another, and metrics judge it."""

import time
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import (
    Audio,
    BaseConfig,
    Batch,
    FeatureExtractor,
    Metric,
    MetricPart,
    Validation,
    VoiceConverter,
    open_vocoder,
)
from amphion_core.audio import Samples
from amphion_core.features.mel import mel_spectrogram
from amphion_core.training.metrics import validation_metrics, validation_score
from amphion_svc.conversion import Converter, Sound
from amphion_svc.pitch import choose_shift, median_f0

FACTOR = "real_time_factor"  # seconds of computing for each second of audio, features included
COMPARED = frozenset({"reference"})


class ConversionMetrics(BaseConfig):
    """The metrics of a validation, for the config of a trainer: ``validation: {against_source: [...], ...}``.

    Metrics of whole sets, such as ``fad``, need more files than a validation has: ``amphion eval`` computes them from a
    folder that ``amphion svc`` has converted.
    """

    against_source: tuple[MetricPart, ...] = Field(
        default=(),
        description="metrics that compare with the source, such as fpc, vuv_f1, {name: f0_rmse, key_shift: null}, "
        "speaker_similarity (lower is better here) and wer_reference",
    )
    against_target: tuple[MetricPart, ...] = Field(
        default=(), description="metrics that compare with a recording of the target, such as speaker_similarity"
    )
    vocoder: str | None = Field(
        default=None, description="what models whose output is a mel are heard through; null: the default for the mel"
    )


class ConvertedValidation:
    """Converts the recordings of a validation and scores them. Without metrics nothing is converted.

    Each item of a batch gets the voice of a recording of another speaker, in the key that the median F0 of both
    suggests. A batch has ``wave`` (B, T) with ``lengths`` (B), at the rate of the model, the same of the other
    recordings as ``other`` and ``other_lengths``, and ``other_speaker`` (B) where the model knows singers by number.
    Without others, as in a corpus of one voice, each item keeps its voice. The scores are ``source_NAME`` and
    ``target_NAME``. Raises RecipeError for a metric of sets, or one that needs a text; and what `open_vocoder` raises,
    so that a wrong vocoder is found before training.
    """

    def __init__(self, config: ConversionMetrics, model: VoiceConverter) -> None:
        parts: dict[str, Sequence[MetricPart]] = {"source": config.against_source, "target": config.against_target}
        self.metrics: dict[str, dict[str, Metric]] = {
            role: validation_metrics(named, COMPARED, "recordings of source and target")
            for role, named in parts.items()
        }
        self.mel, self._vocoder, self._needs_vocoder = model.config.mel, config.vocoder, model.output == "mel"
        self._converter: Converter | None = None
        self._voice: FeatureExtractor | None = None
        if self._needs_vocoder and any(self.metrics.values()):
            open_vocoder(config.vocoder, self.mel)  # only a check: the device of the training is not known yet

    @property
    def higher_is_better(self) -> dict[str, bool | None]:
        """The direction of each score. To be similar to the source is no aim, so it has none there."""
        found = {
            f"{role}_{name}": None if role == "source" and name.startswith("speaker_") else metric.higher_is_better
            for role, metrics in self.metrics.items()
            for name, metric in metrics.items()
        }
        return found | {FACTOR: False} if found else {}

    def __call__(self, network: VoiceConverter, batch: Batch) -> Validation:
        """The scores of each item, the converted waves, and their mels."""
        scores: dict[str, list[float]] = {name: [] for name in self.higher_is_better}
        audio: dict[str, Tensor] = {}
        pictures: dict[str, Tensor] = {}
        for index, target, wave, seconds in self._converted(network, batch) if scores else ():
            made = Audio(wave, self.mel.sample_rate)
            compared = {"source": _audio(batch, index, self.mel.sample_rate), "target": target}
            for role, metrics in self.metrics.items():
                for name in metrics:
                    scores[f"{role}_{name}"].append(validation_score(metrics, name, made, compared[role]))
            scores[FACTOR].append(seconds / made.duration)
            name = f"converted_{batch.ids[index].replace('/', '_')}"
            audio[name] = torch.from_numpy(wave)
            pictures[name] = mel_spectrogram(audio[name][None], self.mel)[0]
        return Validation(scores, audio, pictures)

    def _converted(self, network: VoiceConverter, batch: Batch) -> Iterator[tuple[int, Audio, Samples, float]]:
        """Each item's index, the recording of its target, its converted wave (T,), and the seconds that it took."""
        converter = self._open(network)
        other: Literal["wave", "other"] = "other" if "other" in batch else "wave"
        for index in range(len(batch)):
            wave = _audio(batch, index, self.mel.sample_rate).samples
            target = _audio(batch, index, self.mel.sample_rate, other)
            start = time.perf_counter()
            wanted = median_f0([converter.f0(target.samples)])
            shift, _ = choose_shift([converter.f0(wave)], None, wanted, converter.span)
            whole = {name: each for name, each in converter.extractors.items() if each.frame_shift is None}
            of_whole = {name: converter.feature(extractor, wave) for name, extractor in whole.items()}
            if self._voice is not None:
                speaker = converter.feature(self._voice, target.samples)
            else:
                speaker = batch["speaker" if other == "wave" else "other_speaker"][index : index + 1]
            made = converter.convert(Sound(wave, of_whole, speaker, shift), seed=0)
            yield index, target, np.ascontiguousarray(made), time.perf_counter() - start

    def _open(self, network: VoiceConverter) -> Converter:
        """The converter with everything that it needs, on the device of the network."""
        device = str(network.device)
        if self._converter is None or self._converter.net is not network:
            vocoder = open_vocoder(self._vocoder, self.mel, device=device) if self._needs_vocoder else None
            extractors = {name: part.build().to(device) for name, part in network.features.items()}
            voice = network.voice_feature
            self._voice = None if voice is None else voice.build().to(device)
            self._converter = Converter(network, vocoder, extractors, network.pitch_feature.build())
        return self._converter


def _audio(batch: Batch, index: int, rate: int, name: Literal["wave", "other"] = "wave") -> Audio:
    """The recording of an item, or the other one that came with it, without its padding."""
    lengths = batch["lengths" if name == "wave" else "other_lengths"]
    return Audio(batch[name][index, : int(lengths[index])].float().cpu().numpy(), rate)
