"""Training of FastSpeech 2: mel, pitch, energy and durations of real recordings, with an alignment that is learned.

Ren et al., arXiv:2006.04558, section 2: absolute error of the mel (before and after the PostNet), squared errors of the
normalised pitch and energy, and of log durations ln(d + 1). Durations come from the model's own aligner, which is
trained along (`amphion_tts.models.aligner`), from TextGrid files, or from another model.
Deviations: pitch is one value for each token or frame, not a wavelet spectrogram; as in all published code.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Batch,
    Collate,
    FeaturePart,
    MelConfig,
    MetricPart,
    ModelArchitecture,
    ModelTrainer,
    TextToSpeech,
    Update,
    Utterance,
    Validation,
)  # fmt: skip
from amphion_core.data.usable import NO_TEXT
from amphion_core.errors import RecipeError
from amphion_core.features.mel import mel_spectrogram
from amphion_tts.models.aligner import hard_durations
from amphion_tts.trainers.aligner_training import aligner_losses, alignment_pictures
from amphion_tts.trainers.alignment_health import alignment_remarks, alignment_scores
from amphion_tts.trainers.corpus_size import corpus_remarks
from amphion_tts.trainers.duration_source import Durations, open_teacher
from amphion_tts.trainers.durations import DurationCollator, fitted
from amphion_tts.trainers.spoken_validation import SpokenValidation
from amphion_tts.trainers.text_batch import required_frontend
from amphion_tts.trainers.textgrids import TextGrids
from amphion_tts.trainers.variances import normalised_energy, normalised_pitch, token_means

if TYPE_CHECKING:
    from amphion_tts.models.fastspeech2 import FastSpeech2, FastSpeech2Output


class FastSpeech2Trainer(ModelTrainer):
    """One update for each step: the acoustic losses, and those of the aligner if the durations are learned."""

    class Config(BaseConfig):
        """Source of the durations, and the weights of the losses."""

        durations: Durations = Field(default=Durations(), description="where the frames of each token come from")
        pitch_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the pitch loss")
        energy_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the energy loss")
        duration_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the duration loss")
        alignment_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the aligner's losses")
        binarization_start: int = Field(
            default=1000, ge=0, le=2**31 - 1, description="step after which the aligner learns to be certain"
        )
        aligner_steps: int = Field(
            default=0, ge=0, le=2**31 - 1,
            description="first steps, which train the aligner alone: for trained voices without an aligner",
        )  # fmt: skip
        metrics: tuple[MetricPart, ...] = Field(
            default=(), description="metrics of the spoken validation texts: wer, cer, mcd, ..."
        )
        vocoder: str | None = Field(
            default=None, description="vocoder that makes the spoken texts audible; null: the default for the mel"
        )

        @model_validator(mode="after")
        def _has_an_aligner(self) -> Self:
            if self.aligner_steps and (self.durations.textgrids or self.durations.model):
                raise ValueError("aligner_steps: durations are given, so there is no aligner to train")
            return self

    config: Config
    trains = "tts"
    example_model = "tts/fastspeech2"

    @classmethod
    def example_config(cls) -> Config:
        """The aligner learns both its losses from the first step."""
        return cls.Config(binarization_start=0)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        from amphion_tts.models.fastspeech2 import FastSpeech2

        super().__init__(config, model=model)
        if not isinstance(model, FastSpeech2):
            raise RecipeError(
                f"the trainer fastspeech2 cannot train {type(model).__name__}",
                hint="write model: tts/fastspeech2 in the recipe",
            )
        frontend = required_frontend(model)
        self.network: FastSpeech2 = model
        self.mel: MelConfig = model.config.mel
        self.teacher = _teacher(config.durations, model)
        grids = config.durations.textgrids
        self.grids = TextGrids(grids, config.durations.tier) if grids else None
        self.speaking = SpokenValidation(config.metrics, model, config.vocoder)
        self.higher_is_better = {"mel": False, "pitch": False, "duration": False, **self.speaking.higher_is_better}
        self._collator = DurationCollator(frontend, model.config.speakers, self.mel, self.grids)

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model's mel, Hz."""
        return self.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """The hop of the model's mel, samples."""
        return self.mel.hop_length

    def features(self) -> dict[str, FeaturePart]:
        """F0 in Hz and energy, in the frames of the mel."""
        return {"f0": self.network.config.pitch_feature, "energy": self.network.config.energy_feature}

    def networks(self) -> dict[str, nn.Module]:
        """The whole network, with its aligner."""
        return {"model": self.model}

    def collator(self) -> Collate:
        """Recordings, their texts as ids, and the durations of TextGrids where they are used."""
        return self._collator

    def unusable(self, utterance: Utterance) -> str | None:
        """An item needs a text, and at least one frame for each token where an aligner finds the durations."""
        if not utterance.text.strip():
            return NO_TEXT
        return self._collator.unusable(utterance)

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``lengths``, ``ids``, ``id_lengths``, ``f0``, ``energy`` -> the update of the network."""
        c, totals = self.config, batch.totals
        mel = mel_spectrogram(batch["wave"], self.mel, batch["lengths"])  # (B, F, N)
        durations, log_p, path = self._durations(self.network, batch, mel)
        aligning: dict[str, Tensor] = {}
        if log_p is not None and path is not None:
            aligning = aligner_losses(batch, log_p, path, certain=step > c.binarization_start)
        if step <= c.aligner_steps:
            yield Update("model", c.alignment_weight * torch.stack([*aligning.values()]).sum(), aligning)
            return
        pitch, energy = self._variances(batch, durations)
        out = self._speak(self.network, batch, mel, durations, pitch, energy)
        values, tokens = totals["frames"] * self.mel.n_mels, totals["tokens"]
        counts = {"token": tokens, "frame": totals["frames"]}
        duration = squared(out.log_durations, torch.log1p(durations.float()), out.token_mask)
        losses = {
            "mel": distance(out.mel, mel, out.frame_mask).sum() / values,
            "pitch": squared(out.pitch, pitch, self._mask("pitch", out)) / counts[self.network.config.pitch_level],
            "energy": squared(out.energy, energy, self._mask("energy", out)) / counts[self.network.config.energy_level],
            "duration": duration / tokens,
        }
        total = losses["mel"] + c.pitch_weight * losses["pitch"] + c.energy_weight * losses["energy"]
        total = total + c.duration_weight * losses["duration"]
        if self.network.config.postnet_channels:
            losses["refined"] = distance(out.refined, mel, out.frame_mask).sum() / values
            total = total + losses["refined"]
        for loss in aligning.values():
            total = total + c.alignment_weight * loss
        yield Update("model", total, losses | aligning)

    def validation_step(self, batch: Batch) -> Validation:
        """Errors with the recording's own durations, pitch and energy; the alignment; and what is spoken from texts."""
        network = cast("FastSpeech2", self.ema.get("model", self.network))
        mel = mel_spectrogram(batch["wave"], self.mel, batch["lengths"])
        durations, log_p, _ = self._durations(network, batch, mel)
        pitch, energy = self._variances(batch, durations)
        out = self._speak(network, batch, mel, durations, pitch, energy)
        frames = batch["frames"].tolist()
        found = distance(out.refined, mel, out.frame_mask) / (batch["frames"] * self.mel.n_mels)
        pitch_error = ((out.pitch - pitch).abs() * self._mask("pitch", out)).sum(1) / self._mask("pitch", out).sum(1)
        frame_error = (torch.expm1(out.log_durations) - durations).abs() * out.token_mask
        scores: dict[str, Sequence[float]] = {
            "mel": found.tolist(),
            "pitch": pitch_error.tolist(),
            "duration": (frame_error.sum(1) / batch["id_lengths"]).tolist(),
        }
        ids = [id.replace("/", "_") for id in batch.ids]
        pictures = {id: out.refined[b, :, :n].float().cpu() for b, (id, n) in enumerate(zip(ids, frames, strict=True))}
        if log_p is not None:
            scores |= alignment_scores(durations, batch["id_lengths"])
            pictures |= alignment_pictures(batch, log_p)
        spoken = self.speaking(network, batch)
        return Validation({**scores, **spoken.scores}, spoken.audio, {**pictures, **spoken.pictures})

    def corpus_remarks(self, seconds: float, *, fine_tuning: bool) -> Sequence[str]:
        """Words about a corpus that is too small for a new voice."""
        return corpus_remarks(seconds, fine_tuning=fine_tuning)

    def remarks(self, scores: Mapping[str, float]) -> Sequence[str]:
        """Words about an alignment that has not been learned."""
        return alignment_remarks(scores)

    def _durations(
        self, network: "FastSpeech2", batch: Batch, mel: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Durations (B, L) that sum to the frames of each item; the aligner's log-probabilities and path (B, N, L)."""
        ids, lengths, frames = batch["ids"], batch["id_lengths"], batch["frames"]
        if self.grids is not None:
            return batch["durations"], None, None
        if self.teacher is not None:
            speaker = batch.tensors.get("speaker")
            found = self.teacher.align(ids, lengths, batch["wave"], batch["lengths"], speaker)
            return fitted(found, lengths, frames, batch.ids), None, None
        log_p = network.aligner(ids, lengths, mel, frames)
        path, durations = hard_durations(log_p, lengths, frames)
        return durations, log_p, path

    def _variances(self, batch: Batch, durations: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised pitch and energy of the recordings, each (B, L) or (B, N) by the model's levels."""
        c = self.network.config
        pitch = normalised_pitch(batch["f0"][:, 0], c)
        energy = normalised_energy(batch["energy"][:, 0], c)
        return (
            token_means(pitch, durations) if c.pitch_level == "token" else pitch,
            token_means(energy, durations) if c.energy_level == "token" else energy,
        )

    def _speak(
        self, network: "FastSpeech2", batch: Batch, mel: Tensor, durations: Tensor, pitch: Tensor, energy: Tensor
    ) -> "FastSpeech2Output":
        """The training pass with everything but the predicted values taken from the recording."""
        found: FastSpeech2Output = network(
            batch["ids"], batch["id_lengths"], durations, pitch, energy, batch.tensors.get("speaker"), size=mel.shape[2]
        )
        return found

    def _mask(self, name: str, out: "FastSpeech2Output") -> Tensor:
        level = getattr(self.network.config, f"{name}_level")
        return out.token_mask if level == "token" else out.frame_mask


def distance(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Absolute difference of two mels (B, F, N), summed over bands and the frames of ``mask`` (B, N): (B)."""
    return ((made.float() - wanted).abs() * mask[:, None]).sum((1, 2))


def squared(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Squared difference (B, L), summed where ``mask`` (B, L) is True."""
    return ((made.float() - wanted).square() * mask).sum()


def _teacher(durations: Durations, model: "FastSpeech2") -> TextToSpeech | None:
    """The frozen model that gives the durations. Raises RecipeError where it does not fit ``model``."""
    learned = durations.learned
    if learned != model.config.aligner:
        raise RecipeError(
            "model.aligner: the durations are learned, and the model has no aligner"
            if learned
            else "model.aligner: the durations are given, so the model's aligner would not be trained",
            hint=f"set model.aligner={str(learned).lower()}"
            + (", or give trainer.durations.textgrids=FOLDER or trainer.durations.model=PLACE" if learned else ""),
        )
    return None if durations.model is None else open_teacher(durations.model, model)
