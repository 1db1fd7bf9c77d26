"""Training of NaturalSpeech 2: latents of real recordings, their pitch and durations, and a prompt cut out of each.

Shen et al.: "NaturalSpeech 2", arXiv:2304.09116, section 3.3: absolute errors of the clean latents and of the noise
that they imply, the codebook loss (`code_loss`), and absolute errors of ln F0 and of log durations ln(d + 1). A random
span of each recording is the prompt, and the rest is the target. Durations come from TextGrid files, from another
model, or from an aligner that is trained along as a second network (`amphion_tts.models.aligner`).
Deviations: unvoiced frames get F0 on a line between their neighbours. Sums over the target are divided by the frames of
the whole recordings, prompts included, which scales all losses alike. Amphion's models cut prompts from the start only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from amphion_core.data.batch import Partners
from amphion_core.data.usable import NO_TEXT
from amphion_core.errors import RecipeError
from amphion_core.features.f0 import interpolate_f0
from amphion_core.features.mel import mel_spectrogram
from amphion_core.modules.item_noise import draw_noise, generators
from amphion_tts.models.aligner import Aligner, hard_durations
from amphion_tts.trainers.aligner_training import aligner_losses, alignment_pictures
from amphion_tts.trainers.alignment_health import alignment_remarks, alignment_scores
from amphion_tts.trainers.code_loss import code_loss, codebooks_of
from amphion_tts.trainers.corpus_size import corpus_remarks
from amphion_tts.trainers.duration_source import Durations, open_teacher
from amphion_tts.trainers.durations import DurationCollator, fitted
from amphion_tts.trainers.prompt_split import frame_span, token_span
from amphion_tts.trainers.spoken_validation import SpokenValidation
from amphion_tts.trainers.text_batch import required_frontend
from amphion_tts.trainers.textgrids import TextGrids

if TYPE_CHECKING:
    from amphion_tts.models.naturalspeech2 import NaturalSpeech2, NaturalSpeech2Output

VALIDATION_TIME = 0.5  # of the diffusion, in validation; the noise has then about 12 times the power of the signal


@dataclass(frozen=True, slots=True)
class Task:
    """What the network gets, and what it shall predict, of a batch whose prompts are cut out."""

    ids: Tensor  # (B, L)
    lengths: Tensor  # (B)
    durations: Tensor  # (B, L) in frames
    f0: Tensor  # (B, N) in Hz, without gaps
    codes: Tensor  # (B, K, N)
    latents: Tensor  # (B, D, N)
    prompt: Tensor  # (B, D, M)
    prompt_lengths: Tensor  # (B)


class NaturalSpeech2Trainer(ModelTrainer):
    """One update of the network for each step, and before it one of the aligner, if durations are learned."""

    class Config(BaseConfig):
        """Source of the durations, the prompts, and the weights of the losses. The defaults are Amphion's."""

        durations: Durations = Field(default=Durations(), description="where the frames of each token come from")
        binarization_start: int = Field(
            default=1000, ge=0, le=2**31 - 1, description="step after which an aligner learns to be certain"
        )
        aligner_steps: int = Field(
            default=0, ge=0, le=2**31 - 1, description="first steps, which train the aligner alone"
        )
        prompt_share: tuple[float, float] = Field(
            default=(0.1, 0.5), description="smallest and largest part of a text that is the prompt"
        )
        first_time: float = Field(
            default=1e-5, gt=0, lt=0.5, description="earliest time of the diffusion in training; the last one is 1"
        )
        noise_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the error of the implied noise")
        code_weight: float = Field(default=0.5, ge=0, le=1e6, description="weight of the codebook loss")
        pitch_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the pitch loss")
        duration_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the duration loss")
        metrics: tuple[MetricPart, ...] = Field(
            default=(), description="metrics of the spoken validation texts: wer, cer, speaker_similarity, ..."
        )

        @model_validator(mode="after")
        def _fields_agree(self) -> Self:
            low, high = self.prompt_share
            if not 0 < low <= high < 1:
                raise ValueError(f"prompt_share: {low} to {high} is not within 0 and 1")
            if self.aligner_steps and not self.durations.learned:
                raise ValueError("aligner_steps: durations are given, so there is no aligner to train")
            return self

    config: Config
    trains = "tts"
    example_model = "tts/naturalspeech2"

    @classmethod
    def example_config(cls) -> Config:
        """The aligner learns both its losses from the first step."""
        return cls.Config(binarization_start=0, first_time=0.1)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        from amphion_tts.models.naturalspeech2 import NaturalSpeech2

        super().__init__(config, model=model)
        if not isinstance(model, NaturalSpeech2):
            raise RecipeError(
                f"the trainer naturalspeech2 cannot train {type(model).__name__}",
                hint="write model: tts/naturalspeech2 in the recipe",
            )
        frontend = required_frontend(model)
        self.network: NaturalSpeech2 = model
        self.mel: MelConfig = model.config.mel
        source = config.durations
        self.teacher: TextToSpeech | None = open_teacher(source.model, model) if source.model else None
        self.grids = TextGrids(source.textgrids, source.tier) if source.textgrids else None
        self.aligner = Aligner(model.config.vocabulary_size, self.mel.n_mels) if source.learned else None
        self.speaking = SpokenValidation(config.metrics, model)
        self.higher_is_better = {
            "latents": False, "codes": False, "pitch": False, "duration": False, **self.speaking.higher_is_better
        }  # fmt: skip
        self._books: Tensor | None = None
        self._collator = DurationCollator(frontend, (), self.mel, self.grids)

    @property
    def sample_rate(self) -> int:
        """The rate of the codec, Hz."""
        return self.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """The hop of the codec, samples."""
        return self.mel.hop_length

    def features(self) -> dict[str, FeaturePart]:
        """The codes of the recordings, and F0 in Hz in the same frames."""
        return {"codes": self.network.config.codes_feature, "f0": self.network.config.pitch_feature}

    @property
    def validation_partners(self) -> Partners | None:
        """Whether texts are spoken in validation, each in the voice of another recording of its speaker."""
        return "own voice" if self.speaking.needs_prompts else None

    def networks(self) -> dict[str, nn.Module]:
        """The model, and the aligner where durations are learned."""
        return {**({"aligner": self.aligner} if self.aligner is not None else {}), "model": self.model}

    def collator(self) -> Collate:
        """Recordings, their texts as ids, and the durations of TextGrids where they are used."""
        return self._collator

    def unusable(self, utterance: Utterance) -> str | None:
        """An item needs a text of two tokens, and a frame for each token where an aligner finds the durations."""
        if not utterance.text.strip():
            return NO_TEXT
        if len(self._collator.ids(utterance.text, item=utterance.id)) < 2:
            return "a text of one token, which cannot be cut into prompt and target"
        return self._collator.unusable(utterance)

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``lengths``, ``ids``, ``id_lengths``, ``codes``, ``f0`` -> the updates of aligner and network."""
        c, totals = self.config, batch.totals
        durations, log_p, path = self._durations(batch)
        if log_p is not None and path is not None:
            losses = aligner_losses(batch, log_p, path, certain=step > c.binarization_start)
            yield Update("aligner", torch.stack([*losses.values()]).sum(), losses)
            if step <= c.aligner_steps:
                return
        items, device = len(batch), durations.device
        low, high = c.prompt_share
        task = self._task(batch, durations, low + (high - low) * torch.rand(items, device=device),
                          torch.rand(items, device=device))  # fmt: skip
        time = c.first_time + (1 - c.first_time) * torch.rand(items, device=device)
        losses = self._losses(self.network, task, time, torch.randn_like(task.latents))
        counts = {"duration": totals["tokens"], "pitch": totals["frames"]}
        counts |= dict.fromkeys(("latents", "noise"), totals["frames"] * self.network.config.latent_channels)
        counts["codes"] = totals["frames"] * self.network.config.n_codebooks
        losses = {name: loss.sum() / counts[name] for name, loss in losses.items()}
        weights = {"noise": c.noise_weight, "codes": c.code_weight, "pitch": c.pitch_weight}
        weights["duration"] = c.duration_weight
        total = losses["latents"] + sum(weights[name] * losses[name] for name in weights)
        yield Update("model", total, losses)

    def validation_step(self, batch: Batch) -> Validation:
        """Errors at one diffusion time with fixed prompts and noise; the alignment; and what is spoken from texts."""
        network = cast("NaturalSpeech2", self.ema.get("model", self.network))
        durations, log_p, _ = self._durations(batch)
        share, place = (torch.full((len(batch),), value, device=durations.device) for value in (0.3, 0.0))
        task = self._task(batch, durations, share, place)
        sizes = task.durations.sum(1)
        draws = generators(0, len(batch), durations.device)
        noise = draw_noise(draws, network.config.latent_channels, sizes.tolist(), task.latents.shape[2])
        losses = self._losses(network, task, torch.full_like(share, VALIDATION_TIME), noise)
        counts = {"latents": sizes * network.config.latent_channels, "codes": sizes * network.config.n_codebooks,
                  "pitch": sizes, "duration": task.lengths}  # fmt: skip
        scores: dict[str, Sequence[float]] = {
            name: (losses[name] / count.clamp_min(1)).tolist() for name, count in counts.items()
        }
        pictures: dict[str, Tensor] = {}
        if log_p is not None:
            scores |= alignment_scores(durations, batch["id_lengths"])
            pictures = alignment_pictures(batch, log_p)
        spoken = self.speaking(network, batch)
        return Validation({**scores, **spoken.scores}, spoken.audio, {**pictures, **spoken.pictures})

    def corpus_remarks(self, seconds: float, *, fine_tuning: bool) -> Sequence[str]:
        """Words about a corpus that is too small for a new voice."""
        return corpus_remarks(seconds, fine_tuning=fine_tuning)

    def remarks(self, scores: Mapping[str, float]) -> Sequence[str]:
        """Words about an alignment that has not been learned."""
        return alignment_remarks(scores)

    def _durations(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Durations (B, L) that sum to the frames of each item; the aligner's log-probabilities and path (B, N, L)."""
        ids, lengths, frames = batch["ids"], batch["id_lengths"], batch["frames"]
        if self.grids is not None:
            return batch["durations"], None, None
        if self.teacher is not None:
            found = self.teacher.align(ids, lengths, batch["wave"], batch["lengths"])
            return fitted(found, lengths, frames, batch.ids), None, None
        assert self.aligner is not None
        aligner = self.ema.get("aligner", self.aligner) if not self.aligner.training else self.aligner
        log_p = aligner(ids, lengths, mel_spectrogram(batch["wave"], self.mel, batch["lengths"]), frames)
        path, durations = hard_durations(log_p, lengths, frames)
        return durations, log_p, path

    def _task(self, batch: Batch, durations: Tensor, share: Tensor, place: Tensor) -> Task:
        """The batch with a prompt cut out of each item; ``share`` and ``place`` (B) as in `token_span`."""
        lengths, frames = batch["id_lengths"], batch["frames"]
        tokens = token_span(lengths, share, place)
        span = frame_span(tokens, durations)
        f0 = interpolate_f0(batch["f0"][:, 0]).clamp(*self.network.config.pitch_range)
        ids, target_lengths = tokens.cut_out(batch["ids"], lengths)
        target_durations, _ = tokens.cut_out(durations, lengths)
        mask = torch.arange(ids.shape[1], device=ids.device) < target_lengths[:, None]
        codes, _ = span.cut_out(batch["codes"], frames)
        return Task(
            ids, target_lengths, target_durations * mask, span.cut_out(f0, frames)[0], codes,
            self.network.latents(codes), self.network.latents(span.inside(batch["codes"])), span.count,
        )  # fmt: skip

    def _losses(self, network: "NaturalSpeech2", task: Task, time: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """The losses by name, each summed over what is valid of each item: (B)."""
        noisy = network.schedule.noisy(task.latents, noise, time)
        out: NaturalSpeech2Output = network(
            task.ids, task.lengths, task.durations, task.f0, task.prompt, task.prompt_lengths, noisy, time
        )
        clean, mask = out.clean.float(), out.frame_mask
        implied = network.schedule.implied_noise(noisy, clean, time)
        scaled = clean * network.config.scale
        log_durations = torch.log1p(task.durations.float())
        return {
            "latents": ((clean - task.latents).abs() * mask[:, None]).sum((1, 2)),
            "noise": ((implied - noise).abs() * mask[:, None]).sum((1, 2)),
            "codes": code_loss(scaled, task.codes, self._codebooks(), mask),
            "pitch": ((out.log_f0.float() - task.f0.log()).abs() * mask).sum(1),
            "duration": ((out.log_durations.float() - log_durations).abs() * out.token_mask).sum(1),
        }

    def _codebooks(self) -> Tensor:
        """The codebooks of the codec, on the network's device."""
        if self._books is None or self._books.device != self.network.device:
            self._books = codebooks_of(self.network.codec, self.network.config.n_codebooks).clone()
        return self._books
