"""Validation by listening: the network makes the sounds of the captions of a batch, and metrics judge them."""

import time
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import (
    Audio,
    BaseConfig,
    Batch,
    Metric,
    MetricPart,
    TextEncoder,
    TextToAudio,
    Validation,
    Vocoder,
    open_vocoder,
)
from amphion_core.features.mel import mel_spectrogram
from amphion_core.training.metrics import validation_metrics, validation_score

COMPARED = frozenset({"reference", "text"})
FACTOR = "real_time_factor"  # seconds of computing for each second of sound


class SoundMetrics(BaseConfig):
    """How a validation makes sounds, for the config of a trainer: ``sounds: {metrics: [...], items: 4}``.

    Metrics of whole sets, such as ``fd``, need more files than a validation has: ``amphion eval`` computes them from a
    folder that ``amphion tta --file`` has made.
    """

    metrics: tuple[MetricPart, ...] = Field(
        default=(), description="metrics of single sounds, such as tagger_accuracy, clap_score and kl"
    )
    items: int = Field(default=4, gt=0, le=1024, description="sounds that are made for each validation batch")
    seconds: float = Field(default=5.0, gt=0, le=120, description="length of each sound")
    vocoder: str | None = Field(
        default=None, description="what models whose output is a mel are heard through; null: the default for the mel"
    )
    controls: dict[str, Any] = Field(default_factory=dict, description="controls of the model, such as steps: 20")


class SampledValidation:
    """Makes the sounds of the captions in a batch and scores them: one number for each item, NaN where none is made.

    A batch has ``texts["caption"]`` and ``wave`` (B, T) with ``lengths`` (B), at the rate of the model. Item b draws
    from the seed b, so that the sounds of two validations can be compared. Raises RecipeError for a metric of sets, or
    one that needs more than a recording and its caption, and for controls that the model lacks; and what `open_vocoder`
    raises, so that a wrong vocoder is found before training.
    """

    def __init__(self, config: SoundMetrics, model: TextToAudio) -> None:
        self.config = config
        self.metrics: dict[str, Metric] = validation_metrics(config.metrics, COMPARED, "recordings and their captions")
        self.controls = model.controls(config.controls)
        self._vocoder: Vocoder | None = None
        if model.output == "mel":
            open_vocoder(config.vocoder, model.config.mel)  # only a check: the device of the training is not known yet

    @property
    def higher_is_better(self) -> dict[str, bool | None]:
        """The direction of each score."""
        return {name: metric.higher_is_better for name, metric in self.metrics.items()} | {FACTOR: False}

    @torch.no_grad()
    def __call__(self, network: TextToAudio, encoder: TextEncoder | None, batch: Batch) -> Validation:
        """The scores of each item, the sounds, and their mels."""
        scores = {name: [float("nan")] * len(batch) for name in self.higher_is_better}
        audio: dict[str, Tensor] = {}
        pictures: dict[str, Tensor] = {}
        captions = batch.texts["caption"][: self.config.items]
        start = time.perf_counter()
        waves = self._made(network, encoder, captions)
        factor = (time.perf_counter() - start) / (len(captions) * self.config.seconds)
        for index, (caption, wave) in enumerate(zip(captions, waves, strict=True)):
            if not bool(torch.isfinite(wave).all()):
                continue
            made = Audio(wave.numpy(), network.sample_rate)
            size = int(batch["lengths"][index])
            real = Audio(batch["wave"][index, :size].float().cpu().numpy(), network.sample_rate)
            for name in self.metrics:
                scores[name][index] = validation_score(self.metrics, name, made, real, caption)
            scores[FACTOR][index] = factor
            shown = f"sampled_{batch.ids[index].replace('/', '_')}"
            audio[shown] = wave
            mel = getattr(network.config, "mel", None)
            if mel is not None:
                pictures[shown] = mel_spectrogram(wave[None], mel)[0]
        return Validation(scores, audio, pictures)

    def _made(self, network: TextToAudio, encoder: TextEncoder | None, captions: Sequence[str]) -> list[Tensor]:
        """The waves of the captions, (T,) each, on the CPU."""
        seconds = self.config.seconds
        condition, negative = (
            network.read_captions(texts, duration=seconds, encoder=encoder)
            for texts in (captions, [""] * len(captions))
        )
        found = network.sample(condition, duration=seconds, negative=negative, seed=0, controls=self.controls)
        if found.mel is not None:
            if self._vocoder is None:
                self._vocoder = open_vocoder(self.config.vocoder, network.config.mel, device=str(network.device))
            sizes = (found.lengths * network.config.mel.hop_length).tolist()
            mel = found.mel.float()
            finite = mel.nan_to_num()
            with torch.autocast(mel.device.type, enabled=False):  # the vocoder is not trained: float32
                wave = self._vocoder.vocode(finite, seed=0) + (mel - finite).sum((1, 2))[:, None]  # NaN stays NaN
        else:
            assert found.wave is not None
            wave, sizes = found.wave, found.lengths.tolist()
        return [row[:size].float().cpu().clone() for row, size in zip(wave, sizes, strict=True)]
