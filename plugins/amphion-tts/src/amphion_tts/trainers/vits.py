"""Training of VITS: a variational autoencoder of recordings, a prior from their texts, and discriminators.

Kim, Kong, Son, arXiv:2106.06103, section 2: reconstruction loss (eq. 2), KL divergence (eq. 3 and 4), duration loss
(eq. 7, or squared error of log durations), adversarial and feature matching loss (eq. 8 to 10), the sum (eq. 11).
Weights as in the authors' code: 45, 1, 1, 1 and 2. Text encoder, flow and duration predictor are in one optimiser.
Deviations: none. The mel of a slice comes from the spectrogram of the whole recording, as in the authors' code.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Batch,
    Collate,
    DiscriminatorPart,
    Example,
    MelConfig,
    MetricPart,
    ModelArchitecture,
    ModelTrainer,
    Update,
    Utterance,
    Validation,
)  # fmt: skip
from amphion_core.data.usable import NO_TEXT
from amphion_core.errors import DataError, RecipeError
from amphion_core.features.linear import linear_spectrogram
from amphion_core.features.mel import mel_of_linear, mel_spectrogram
from amphion_core.modules.latent_flow import kl_loss
from amphion_core.modules.masks import slice_frames
from amphion_tts.models.vits_losses import VITSOutput, latent_loss
from amphion_tts.trainers.alignment_health import alignment_remarks, alignment_scores
from amphion_tts.trainers.corpus_size import corpus_remarks
from amphion_tts.trainers.spoken_validation import SpokenValidation
from amphion_tts.trainers.text_batch import TextCollator, required_frontend
from amphion_vocoders import Discriminators, without_gradients_of

if TYPE_CHECKING:
    from amphion_tts.models.vits import VITS


class VITSTrainer(ModelTrainer):
    """Each step updates the discriminators, and then the whole network with the updated discriminators."""

    class Config(BaseConfig):
        """The losses and their weights; the defaults are the paper's."""

        discriminators: tuple[DiscriminatorPart, ...] = Field(
            default=(), description="discriminators, all in one optimiser: discriminator/mpd, ..."
        )
        mel_weight: float = Field(default=45.0, ge=0, le=1e6, description="weight of the mel loss of the decoded slice")
        kl_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the KL divergence")
        duration_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the duration loss")
        adversarial_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the adversarial loss")
        feature_weight: float = Field(default=2.0, ge=0, le=1e6, description="weight of the feature matching loss")
        posterior_steps: int = Field(
            default=0, ge=0, le=2**31 - 1,
            description="first steps, which train the posterior encoder alone: for voices published without one",
        )  # fmt: skip
        metrics: tuple[MetricPart, ...] = Field(
            default=(), description="metrics of the spoken validation texts: wer, cer, mcd, ..."
        )

    config: Config
    trains = "tts"
    example_model = "tts/vits"

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator."""
        return cls.Config(discriminators=(DiscriminatorPart.named("discriminator/mpd", channels=2, periods=(2, 3)),))

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        from amphion_tts.models.vits import VITS

        super().__init__(config, model=model)
        if not isinstance(model, VITS):
            raise RecipeError(
                f"the trainer vits cannot train {type(model).__name__}", hint="write model: tts/vits in the recipe"
            )
        if not model.config.posterior:
            raise RecipeError(
                "model.posterior: training needs a posterior encoder, and this model has none",
                hint="set model.posterior=true; engine.init_from with missing: keep begins with a new one",
            )
        frontend = required_frontend(model)
        self.network: VITS = model
        self.mel: MelConfig = model.config.mel
        self.loss_mel = self.mel.replace(fmax=None)
        self.discriminator = Discriminators(config.discriminators)
        self.speaking = SpokenValidation(config.metrics, model)
        self.higher_is_better = {"mel": False, "kl": None, "duration": None, **self.speaking.higher_is_better}
        self._texts = TextCollator(frontend, model.config.speakers)

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model's mel, Hz."""
        return self.mel.sample_rate

    def networks(self) -> dict[str, nn.Module]:
        """The model as "generator", all discriminators together as "discriminator"."""
        networks: dict[str, nn.Module] = {"generator": self.model}
        return networks | ({"discriminator": self.discriminator} if len(self.discriminator) else {})

    def collator(self) -> Collate:
        """Recordings, their texts as ids, and their speakers."""
        return VITSCollator(self._texts, self.mel)

    def unusable(self, utterance: Utterance) -> str | None:
        """An item needs a text, and at least one frame for each token of it."""
        if not utterance.text.strip():
            return NO_TEXT
        tokens = len(self._texts.ids(utterance.text, item=utterance.id))
        if self.mel.frames(int(utterance.duration * self.mel.sample_rate)) <= tokens:
            return "a text too long for the recording (fewer frames than tokens)"
        return None

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``lengths``, ``ids``, ``id_lengths`` -> the discriminator's update, then the network's."""
        c, totals = self.config, batch.totals
        if step <= c.posterior_steps:
            yield self._posterior_update(batch)
            return
        out, spec = self._forward(self.network, batch)
        real = self._slice(batch["wave"], out)
        adversarial = bool(len(self.discriminator))
        if adversarial:
            loss = self.discriminator.loss(real, out.wave)
            yield Update("discriminator", loss.sum() / totals["items"])
        losses = self._losses(out, spec, totals)
        total = c.mel_weight * losses["mel"] + c.kl_weight * losses["kl"] + c.duration_weight * losses["duration"]
        if adversarial:
            judged, feature = self.discriminator.generator_losses(real, out.wave)
            losses |= {"adversarial": judged.sum() / totals["items"], "feature": feature.sum() / totals["items"]}
            total = total + c.adversarial_weight * losses["adversarial"] + c.feature_weight * losses["feature"]
        yield Update("generator", total, losses)

    def _losses(self, out: VITSOutput, spec: Tensor, totals: Mapping[str, int]) -> dict[str, Tensor]:
        """The losses without discriminators, as contributions to the step."""
        return {
            "mel": self._mel_distance(out, spec).sum() / totals["items"],
            "kl": kl_loss(out.z_p, out.logs_q, out.m_p, out.logs_p, out.frame_mask) / totals["frames"],
            "duration": out.duration_loss.sum() / totals["tokens"],
        }

    def _posterior_update(self, batch: Batch) -> Update:
        """An update of the posterior encoder. The trained parts keep their weights, and their gradients pass through.

        A new posterior encoder gives noise. With this noise, the prior and the decoder would forget what they know. It
        learns from the recordings, and from what the network itself says of their texts, because these latents are
        known.
        """
        others = nn.ModuleList(part for name, part in self.network.named_children() if name != "enc_q")
        with without_gradients_of(others):
            out, spec = self._forward(self.network, batch)
        losses = self._losses(out, spec, batch.totals)
        losses["latent"] = self._latent_loss(batch)
        c = self.config
        total = c.mel_weight * losses["mel"] + c.kl_weight * (losses["kl"] + losses["latent"])
        return Update("generator", total, losses)

    def _latent_loss(self, batch: Batch) -> Tensor:
        """How well the posterior encoder finds the latents of what the network says, for each frame."""
        speaker = batch.tensors.get("speaker")
        z, frames, wave = self.network.speak_latents(batch["ids"], batch["id_lengths"], speaker)
        spec = linear_spectrogram(wave.float(), self.mel, frames * self.mel.hop_length)
        m_q, logs_q, mask = self.network.posterior(spec, frames, speaker)
        return latent_loss(z, m_q, logs_q, mask) / frames.sum() * (len(batch) / batch.totals["items"])

    def validation_step(self, batch: Batch) -> Validation:
        """The losses without discriminators, copy synthesis through the latent, the alignment, and what is spoken."""
        network = cast("VITS", self.ema.get("generator", self.network))
        out, spec = self._forward(network, batch)
        frames = batch["lengths"] // self.mel.hop_length
        copy = network.decode(out.z, frames, batch.tensors.get("speaker"))  # (B, T)
        wanted, made = mel_of_linear(spec, self.loss_mel), mel_spectrogram(copy.float(), self.loss_mel)
        durations = out.path.sum(1)
        scores: dict[str, list[float]] = {"mel": [], "kl": [], "duration": []}
        for b, (n, tokens) in enumerate(zip(frames.tolist(), batch["id_lengths"].tolist(), strict=True)):
            one = slice(b, b + 1)
            kl = kl_loss(out.z_p[one], out.logs_q[one], out.m_p[one], out.logs_p[one], out.frame_mask[one])
            scores["mel"].append(float((made[b, :, :n] - wanted[b, :, :n]).abs().mean()))
            scores["kl"].append(float(kl) / n)
            scores["duration"].append(float(out.duration_loss[b]) / tokens)
        ids = [id.replace("/", "_") for id in batch.ids]
        paths = zip(out.path.mT.float().cpu(), batch["id_lengths"].tolist(), frames.tolist(), strict=True)
        pictures = {f"alignment_{id}": path[:tokens, :n] for id, (path, tokens, n) in zip(ids, paths, strict=True)}
        spoken = self.speaking(network, batch)
        return Validation(
            {**scores, **alignment_scores(durations, batch["id_lengths"]), **spoken.scores},
            {**dict(zip(ids, copy.float().cpu(), strict=True)), **spoken.audio},
            {**pictures, **dict(zip(ids, made.cpu(), strict=True)), **spoken.pictures},
        )

    def corpus_remarks(self, seconds: float, *, fine_tuning: bool) -> Sequence[str]:
        """Words about a corpus that is too small for a new voice."""
        return corpus_remarks(seconds, fine_tuning=fine_tuning)

    def remarks(self, scores: Mapping[str, float]) -> Sequence[str]:
        """Words about an alignment that has not been learned."""
        return alignment_remarks(scores)

    def _forward(self, network: "VITS", batch: Batch) -> tuple[VITSOutput, Tensor]:
        """The training pass, and the linear spectrograms (B, n_fft / 2 + 1, N)."""
        spec = linear_spectrogram(batch["wave"], self.mel, batch["lengths"])
        frames = batch["lengths"] // self.mel.hop_length
        return network(batch["ids"], batch["id_lengths"], spec, frames, batch.tensors.get("speaker")), spec

    def _slice(self, wave: Tensor, out: VITSOutput) -> Tensor:
        """(B, T) -> the samples (B, 1, S * hop) that the decoded slices stand for, 0 after the end of the batch."""
        return slice_frames(wave[:, None], out.starts * self.mel.hop_length, out.wave.shape[2])

    def _mel_distance(self, out: VITSOutput, spec: Tensor) -> Tensor:
        """Mean absolute difference of the mels of the decoded and the recorded slices, (B)."""
        made = mel_spectrogram(out.wave[:, 0].float(), self.loss_mel)
        recorded = slice_frames(spec, out.starts, made.shape[2])
        return (made - mel_of_linear(recorded, self.loss_mel)).abs().mean((1, 2))


class VITSCollator:
    """What `TextCollator` gives, and the count ``frames``: the frames of all recordings of the batch."""

    def __init__(self, texts: TextCollator, mel: MelConfig) -> None:
        self.texts, self.mel = texts, mel

    def __call__(self, examples: Sequence[Example]) -> Batch:
        """The batch of ``examples``. Raises DataError for an item that VITS cannot be trained on."""
        batch = self.texts(examples)
        for example in examples:
            if len(example.wave) < example.utterance.duration * self.mel.sample_rate / 2:
                raise DataError(
                    f"item {example.utterance.id} is cropped, and a text needs its whole recording",
                    hint="set data.crop=null; VITS decodes slices of model.segment frames",
                )
        frames = batch["lengths"] // self.mel.hop_length
        if bool((frames < batch["id_lengths"]).any()):
            item = int((frames < batch["id_lengths"]).nonzero()[0, 0])
            raise DataError(
                f"item {batch.ids[item]} has {int(frames[item])} frames and {int(batch['id_lengths'][item])} tokens;"
                " every token needs at least one frame",
                hint="check that its text says what is in the recording",
            )
        batch.counts["frames"] = int(frames.sum())
        return batch
