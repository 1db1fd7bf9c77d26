"""Training of FACodec: reconstruction against discriminators, and predictors that keep its branches apart.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2: multi-scale mel loss, adversarial and feature matching
losses, the losses of the codebooks, and predictors of F0, phones and speakers, some of them behind a reversed gradient.
The paper does not state its weights. The defaults here are those of the trainable community variant, where it has one.
Deviations: the encoder reads whole recordings, each by itself, so that the timbre is that of the recording and no
padding reaches a convolution; the decoder makes a random slice of each. Phones: see ``facodec_labels.py``. A redecoder
learns to make the same slices from codes without the residual and from the timbre, by the mel loss.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    Batch,
    Collate,
    DiscriminatorPart,
    FeaturePart,
    ModelArchitecture,
    Update,
    Utterance,
    Validation,
)
from amphion_core.data.usable import NO_TEXT
from amphion_core.errors import RecipeError
from amphion_core.modules.masks import random_starts
from amphion_vocoders.f0_tracking import tracker_for
from amphion_vocoders.models.facodec_heads import REVERSED, Factors
from amphion_vocoders.trainers.adversarial import Discriminators
from amphion_vocoders.trainers.facodec_labels import LabelCollator, head_losses
from amphion_vocoders.trainers.mel_losses import mel_distance, multi_scale
from amphion_vocoders.trainers.vocoder_trainer import VocoderTrainer

if TYPE_CHECKING:
    from amphion_vocoders.models.facodec import FACodec
    from amphion_vocoders.models.facodec_redecoder import Redecoder


class FACodecTrainer(VocoderTrainer):
    """Each step updates the discriminators, and then the codec with the updated discriminators."""

    class Config(VocoderTrainer.Config):
        """The losses and their weights."""

        discriminators: tuple[DiscriminatorPart, ...] = Field(
            default=(), description="discriminators, all in one optimiser: discriminator/dac, ..."
        )
        discriminator_start: int = Field(default=1, gt=0, le=2**31 - 1, description="first step with discriminators")
        segment: int = Field(default=80, gt=0, le=1 << 20, description="frames of each item that are decoded")
        mel_weight: float = Field(default=15.0, gt=0, le=1e6, description="weight of the mel loss")
        mel_loss: Literal["single", "multi_scale"] = Field(
            default="multi_scale",
            description="single: the codec's mel with all bands; multi_scale: seven window lengths",
        )
        adversarial_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the adversarial loss")
        feature_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the feature matching loss")
        commitment_weight: float = Field(
            default=0.25, ge=0, le=1e6, description="weight of the distance of the encoder to the entries"
        )
        codebook_weight: float = Field(
            default=1.0, ge=0, le=1e6, description="weight of the distance of the entries to the encoder"
        )
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
    trains = "codec"
    example_model = "codec/facodec"
    example_crop = None

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator, and slices of 60 frames."""
        part = DiscriminatorPart.named("discriminator/mpd", channels=2, periods=(2, 3))
        return cls.Config(discriminators=(part,), segment=60, mel_loss="single")

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and for predictors without what they need."""
        from amphion_vocoders.models.facodec import FACodec

        if not isinstance(model, FACodec):
            raise RecipeError(
                f"the trainer facodec cannot train {type(model).__name__}", hint="write model: codec/facodec"
            )
        super().__init__(config, model=model)
        self.codec: FACodec = model
        names = model.config.predictors
        if any(name.endswith("phone") for name in names) and model.config.frontend is None:
            raise RecipeError(
                "model.frontend: predictors of phones need a frontend, whose symbols they predict",
                hint="model.frontend=characters or another: amphion list frontends",
            )
        self.tracker = tracker_for(self.mel, config.f0) if any(name.endswith("f0") for name in names) else None
        single = (self.mel.replace(fmax=None),)
        self.loss_mels = single if config.mel_loss == "single" else multi_scale(self.mel.sample_rate)
        self.discriminator = Discriminators(config.discriminators)
        has_phones = any(name.endswith("phone") for name in names)
        has_speakers = any(name.endswith("speaker") for name in names)
        self._labels = LabelCollator(
            model.hop_length,
            model.config.frontend if has_phones else None,
            model.config.speakers if has_speakers else (),
        )
        self.higher_is_better = {**self.higher_is_better, "used_entries": True}

    @property
    def hop_length(self) -> int:
        """The codec's hop, samples."""
        return self.codec.hop_length

    def features(self) -> dict[str, FeaturePart]:
        """F0 in Hz in the frames of the codes, for predictors of it."""
        return {"f0": self.tracker} if self.tracker else {}

    def networks(self) -> dict[str, nn.Module]:
        """The codec with its predictors as "codec", all discriminators together as "discriminator"."""
        return {"codec": self.codec} | ({"discriminator": self.discriminator} if len(self.discriminator) else {})

    def collator(self) -> Collate:
        """Whole recordings with the labels that the predictors need."""
        return self._labels

    def unusable(self, utterance: Utterance) -> str | None:
        """An item needs a slice, and a text where the model predicts phones."""
        if self._labels.frontend_part is not None and not utterance.text.strip():
            return NO_TEXT
        if utterance.duration * self.sample_rate < self.config.segment * self.hop_length:
            return f"shorter than the slice of {self.config.segment} frames"
        return None

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T), ``lengths`` and labels -> the discriminator's update, then the codec's."""
        c, items = self.config, batch.totals["items"]
        factors = self._factors(self.codec, batch)
        starts = random_starts(batch["lengths"] // self.hop_length, c.segment).tolist()
        real = self._slices(list(batch["wave"][:, None, None]), starts, self.hop_length)  # (B, 1, segment * hop)
        fake = self.codec.decoder(self._slices([self.codec.mix(one) for one in factors], starts))
        judged = bool(len(self.discriminator)) and step >= c.discriminator_start
        if judged:
            yield Update("discriminator", self.discriminator.loss(real, fake).sum() / items)
        losses = {"mel": self._mel_distance(fake, real).sum() / items} | self._codebook_losses(factors, batch)
        losses |= self._predictor_losses(factors, batch)
        if self.codec.redecoder is not None:
            made = self._redecoded(factors, starts)
            losses["redecoder"] = self._mel_distance(made, real).sum() / items
        if judged:
            adversarial, feature = self.discriminator.generator_losses(real, fake)
            losses |= {"adversarial": adversarial.sum() / items, "feature": feature.sum() / items}
        yield Update("codec", torch.stack([self._weight(name) * loss for name, loss in losses.items()]).sum(), losses)

    def validation_step(self, batch: Batch) -> Validation:
        """Copies of whole recordings. Scores are the mel distance, entries in use, and the recipe's metrics."""
        network = cast("FACodec", self.ema.get("codec", self.codec))
        made, scores = torch.zeros_like(batch["wave"]), {"mel": [], "used_entries": []}  # type: ignore[var-annotated]
        for item, size in enumerate(batch["lengths"].tolist()):
            wave = batch["wave"][item : item + 1, None, :size]
            codes = network.encode(wave)
            copy = network.decode(codes)[..., :size]
            made[item, :size] = copy[0, 0]
            scores["mel"].append(float(self._mel_distance(copy, wave)))
            scores["used_entries"].append(sum(len(row.unique()) for row in codes.indices) / len(codes.indices))
        return self.validation(made, batch["wave"], batch, scores, mel=self.mel)

    def _factors(self, network: "FACodec", batch: Batch) -> list[Factors]:
        """Each item by itself: convolutions that see the zeros after a shorter item would change its end."""
        pairs = zip(batch["wave"], batch["lengths"].tolist(), strict=True)
        return [network.factorise(wave[None, None, :size]) for wave, size in pairs]

    def _slices(self, rows: list[Tensor], starts: list[int], unit: int = 1) -> Tensor:
        """Rows (1, C, T_b) of ``unit`` values a frame -> their slices (B, C, segment * unit) from ``starts`` on."""
        size = self.config.segment * unit
        parts = [row[..., start * unit : start * unit + size] for row, start in zip(rows, starts, strict=True)]
        return torch.cat([nn.functional.pad(part, (0, size - part.shape[-1])) for part in parts])

    def _codebook_losses(self, factors: list[Factors], batch: Batch) -> dict[str, Tensor]:
        """Squared distances, summed over the codebooks, for each frame of the step."""
        frames = batch.totals["frames"]
        return {
            name: torch.stack([getattr(one, name).sum() for one in factors]).sum() / frames
            for name in ("commitment", "codebook")
        }

    def _predictor_losses(self, factors: list[Factors], batch: Batch) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {}
        for item, one in enumerate(factors):
            labels: dict[str, Tensor] = {}
            if "f0" in batch:
                labels["f0"] = batch["f0"][item, 0, : int(batch["f0_lengths"][item])]
            if "ids" in batch:
                labels["ids"] = batch["ids"][item, : int(batch["id_lengths"][item])]
            if "speaker" in batch:
                labels["speaker"] = batch["speaker"][item]
            for name, loss in head_losses(self.codec.predict(one), labels).items():
                found.setdefault(name, []).append(loss)
        return {name: torch.stack(losses).sum() / max(1, batch.totals[_unit(name)]) for name, losses in found.items()}

    def _redecoded(self, factors: list[Factors], starts: list[int]) -> Tensor:
        """The slices (B, 1, T) made of codes and timbre alone; no gradient reaches the rest of the codec."""
        indices = self._slices([one.indices.transpose(0, 1) for one in factors], starts).transpose(0, 1)
        speakers = torch.cat([one.speaker.detach() for one in factors])
        return cast("Redecoder", self.codec.redecoder)(indices, speakers)

    def _weight(self, name: str) -> float:
        """The weight of a loss in the sum."""
        c = self.config
        base = name.removesuffix("_uv")
        kind = "uv" if name.endswith("_uv") else next((k for k in ("f0", "phone", "speaker") if base.endswith(k)), base)
        weight: float = getattr(c, f"{kind}_weight")
        return weight * (c.reversed_weight if base in REVERSED else 1)

    def _mel_distance(self, fake: Tensor, real: Tensor) -> Tensor:
        """(B, 1, T) twice -> the mel loss of each item (B)."""
        return mel_distance(fake[:, 0].float(), real[:, 0], self.loss_mels)


def _unit(name: str) -> str:
    """What the losses of a predictor are summed over."""
    if name.endswith("phone"):
        return "tokens"
    if name.endswith("speaker"):
        return "items"
    return "frames" if name.endswith("_uv") else "voiced"
