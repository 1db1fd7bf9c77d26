"""Training of FACodec: reconstruction against discriminators, and predictors that keep its branches apart.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2: multi-scale mel loss, adversarial and feature matching
losses, the losses of the codebooks, and predictors of F0, phones and speakers, some of them behind a reversed gradient.
The paper does not state its weights. The defaults here are those of the trainable community variant, where it has one.
Deviations: the encoder reads whole recordings, each by itself, so that the timbre is that of the recording; zeros fill
the last half second, so that lengths repeat, and with them torch's prepared convolutions. The decoder makes a random
slice of each. Phones: see ``facodec_labels.py``. A redecoder learns to make the same slices from codes without the
residual and from the timbre, by the mel loss.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    Batch,
    Collate,
    DiscriminatorPart,
    FeaturePart,
    MelConfig,
    ModelArchitecture,
    Utterance,
    Validation,
)
from amphion_core.errors import RecipeError
from amphion_core.modules.masks import random_starts
from amphion_vocoders.f0_tracking import tracker_for
from amphion_vocoders.models.facodec_heads import REVERSED, Factors
from amphion_vocoders.quantization import perplexity
from amphion_vocoders.trainers.codec import CodecTrainer, Copies
from amphion_vocoders.trainers.facodec_labels import LabelCollator, head_losses
from amphion_vocoders.trainers.mel_losses import mel_distance

if TYPE_CHECKING:
    from amphion_vocoders.models.facodec_branches import BranchedCodec
    from amphion_vocoders.models.facodec_redecoder import Redecoder

FILLED = 0.5  # seconds; recordings in training are filled with zeros to a multiple


class FACodecTrainer(CodecTrainer):
    """Each step updates the discriminators, and then the codec with the updated discriminators."""

    class Config(CodecTrainer.Config):
        """The losses and their weights."""

        segment: int = Field(default=80, gt=0, le=1 << 20, description="frames of each item that are decoded")
        mel_loss: Literal["single", "multi_scale"] = Field(
            default="multi_scale",
            description="single: the codec's mel with all bands; multi_scale: seven window lengths",
        )
        feature_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the feature matching loss")
        f0_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of F0 in octaves, of voiced frames")
        uv_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of whether a frame is unvoiced")
        phone_weight: float = Field(default=5.0, ge=0, le=1e6, description="weight of the symbols of the text")
        speaker_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the speakers")
        reversed_weight: float = Field(
            default=0.2, ge=0, le=1e6, description="factor on these weights for predictors behind a reversed gradient"
        )
        redecoder_weight: float = Field(default=15.0, ge=0, le=1e6, description="weight of the redecoder's mel loss")
        f0: FeaturePart | None = Field(
            default=None, description="tracker of F0, in the frames of the codes; null: f0_harvest"
        )

    config: Config
    example_model = "codec/facodec"
    example_crop = None

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator, and slices of 60 frames."""
        part = DiscriminatorPart.named("discriminator/mpd", channels=2, periods=(2, 3))
        return cls.Config(discriminators=(part,), segment=60, mel_loss="single")

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and for predictors without what they need."""
        from amphion_vocoders.models.facodec_branches import BranchedCodec

        if not isinstance(model, BranchedCodec):
            raise RecipeError(
                f"the trainer facodec cannot train {type(model).__name__}",
                hint="write model: codec/facodec, or codec/facodec_24k",
            )
        super().__init__(config, model=model)
        self.codec: BranchedCodec = model
        if config.mel_loss == "single":
            self.loss_mels = (self.mel.replace(fmax=None),)
        predicted = {name.rpartition("_")[2] for name in model.config.predictors}  # f0, phone, speaker
        if "phone" in predicted and model.config.frontend is None:
            raise RecipeError(
                "model.frontend: predictors of phones need a frontend, whose symbols they predict",
                hint="model.frontend=characters or another: amphion list frontends",
            )
        self.tracker = tracker_for(self.mel, config.f0) if "f0" in predicted else None
        self._labels = LabelCollator(
            model.config.frontend if "phone" in predicted else None,
            model.config.speakers if "speaker" in predicted else (),
        )

    @classmethod
    def mel_of(cls, model: ModelArchitecture) -> MelConfig:
        """The codec's own mel."""
        mel: MelConfig = model.config.mel
        return mel

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weights of the losses that `copies` returns, by their names."""
        c = self.config
        weights = {**super().loss_weights, "redecoder": c.redecoder_weight}
        for name in self.codec.config.predictors:
            kind = name.rpartition("_")[2]
            factor = c.reversed_weight if name in REVERSED else 1.0
            weights[name] = factor * {"f0": c.f0_weight, "phone": c.phone_weight, "speaker": c.speaker_weight}[kind]
            if kind == "f0":
                weights[f"{name}_uv"] = factor * c.uv_weight
        return weights

    def features(self) -> dict[str, FeaturePart]:
        """F0 in Hz in the frames of the codes, for predictors of it."""
        return {"f0": self.tracker} if self.tracker else {}

    def collator(self) -> Collate:
        """Whole recordings with the labels that the predictors need."""
        return self._labels

    def unusable(self, utterance: Utterance) -> str | None:
        """An item needs a slice. Without a text, its phones are not learnt."""
        if utterance.duration * self.sample_rate < self.config.segment * self.hop_length:
            return f"shorter than the slice of {self.config.segment} frames"
        return None

    def copies(self, network: nn.Module, batch: Batch) -> Copies:
        """``wave`` (B, T), ``lengths`` and labels -> random slices of recordings, what the codec makes of them, losses.

        The encoder reads each item by itself, followed by zeros up to the next half second only.
        """
        codec = cast("BranchedCodec", network)
        grid = self.hop_length * round(FILLED * self.sample_rate / self.hop_length)  # samples
        pairs = zip(batch["wave"], batch["lengths"].tolist(), strict=True)
        waves = [nn.functional.pad(wave[:size], (0, -size % grid)) for wave, size in pairs]
        factors = [codec.factorise(wave[None, None]) for wave in waves]
        starts = random_starts(batch["lengths"] // self.hop_length, self.config.segment).tolist()
        real = self._slices(list(batch["wave"][:, None, None]), starts, self.hop_length)  # (B, 1, segment * hop)
        made = codec.decoder(self._slices([codec.mix(one) for one in factors], starts))
        losses = {
            name: torch.stack([getattr(one, name).sum(0).mean() for one in factors])
            for name in ("commitment", "codebook")
        }
        losses |= self._predictor_losses(codec, factors, batch)
        if codec.redecoder is not None and not codec.bypassed:
            losses["redecoder"] = mel_distance(
                self._redecoded(codec.redecoder, factors, starts)[:, 0].float(), real[:, 0], self.loss_mels
            )
        return Copies(real, made, losses)

    def validation_step(self, batch: Batch) -> Validation:
        """Code and decode each whole recording. Scores: mel distance, entries in use, and the recipe's metrics."""
        network = cast("BranchedCodec", self.ema.get("codec", self.codec))
        made = torch.zeros_like(batch["wave"])
        scores: dict[str, list[float]] = {"mel": [], "perplexity": []}
        for item, size in enumerate(batch["lengths"].tolist()):
            wave = batch["wave"][item : item + 1, None, :size]
            codes = network.encode(wave)
            copy = network.decode(codes)[..., :size]
            made[item, :size] = copy[0, 0]
            scores["mel"].append(float(mel_distance(copy[:, 0], wave[:, 0], self.loss_mels)))
            scores["perplexity"].append(float(perplexity(codes.indices[:, 0], network.codebook_size).mean()))
        return self.validation(made, batch["wave"], batch, scores, mel=self.mel)

    def _slices(self, rows: list[Tensor], starts: list[int], unit: int = 1) -> Tensor:
        """Rows (1, C, T_b) of ``unit`` values a frame -> their slices (B, C, segment * unit) from ``starts`` on."""
        size = self.config.segment * unit
        parts = [row[..., start * unit : start * unit + size] for row, start in zip(rows, starts, strict=True)]
        return torch.cat([nn.functional.pad(part, (0, size - part.shape[-1])) for part in parts])

    def _predictor_losses(self, codec: "BranchedCodec", factors: list[Factors], batch: Batch) -> dict[str, Tensor]:
        """The losses of each predictor, (B) each."""
        found: dict[str, list[Tensor]] = {}
        for item, one in enumerate(factors):
            labels: dict[str, Tensor] = {}
            if "f0" in batch:
                labels["f0"] = batch["f0"][item, 0, : int(batch["f0_lengths"][item])]
            if "ids" in batch:
                labels["ids"] = batch["ids"][item, : int(batch["id_lengths"][item])]
            if "speaker" in batch:
                labels["speaker"] = batch["speaker"][item]
            for name, loss in head_losses(codec.predict(one), labels).items():
                found.setdefault(name, []).append(loss)
        return {name: torch.stack(losses) for name, losses in found.items()}

    def _redecoded(self, redecoder: "Redecoder", factors: list[Factors], starts: list[int]) -> Tensor:
        """The slices (B, 1, T) made of codes and timbre alone; no gradient reaches the rest of the codec."""
        indices = self._slices([one.indices.transpose(0, 1) for one in factors], starts).transpose(0, 1)
        return cast("Tensor", redecoder(indices, torch.cat([one.speaker.detach() for one in factors])))
