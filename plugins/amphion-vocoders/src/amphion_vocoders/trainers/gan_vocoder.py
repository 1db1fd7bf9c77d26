"""GAN training of a feed-forward vocoder, as in HiFi-GAN: any discriminators against one generator.

Kong, Kim, Bae: "HiFi-GAN", arXiv:2010.05646, section 2.4: least-squares adversarial loss (eq. 1, 2), mel loss (eq. 3),
feature matching loss (eq. 4), the generator's loss (eq. 5). Losses of sub-discriminators are added, not averaged.
Other choices: MelGAN's (arXiv:1910.06711) hinge loss and weights of feature maps, without a mel loss. Vocos'
(arXiv:2306.00814, section 3.4): clamped hinge loss, averages over sub-discriminators, a weight for a discriminator.
BigVGAN's second version: a mel loss that compares seven window lengths.
Deviations: none. The mel loss compares all bands up to half the sample rate, as the authors' code does.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    Batch,
    DiscriminatorPart,
    FeaturePart,
    ModelArchitecture,
    Update,
    Validation,
    Vocoder,
)  # fmt: skip
from amphion_core.errors import RecipeError
from amphion_vocoders.f0_tracking import tracker_for
from amphion_vocoders.trainers.adversarial import Discriminators
from amphion_vocoders.trainers.mel_losses import mel_distance, multi_scale
from amphion_vocoders.trainers.vocoder_trainer import VocoderTrainer


class GANVocoderTrainer(VocoderTrainer):
    """Each step updates the discriminators, and then the generator with the updated discriminators."""

    class Config(VocoderTrainer.Config):
        """The losses and their weights; the defaults are the paper's."""

        discriminators: tuple[DiscriminatorPart, ...] = Field(
            default=(), description="discriminators, all in one optimiser: discriminator/mpd, ..."
        )
        adversarial: Literal["lsgan", "hinge", "clamped_hinge"] = Field(
            default="lsgan", description="kind of the adversarial loss; see `generator_loss`"
        )
        discriminator_weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(
            default_factory=dict,
            description="factors of the losses that come from single discriminators, such as {mrd: 0.1}; the others: 1",
        )
        average: bool = Field(
            default=False,
            description="divide the losses of a discriminator by the number of its sub-discriminators",
        )
        adversarial_weight: float = Field(
            default=1.0, ge=0, le=1e6, description="weight of the generator's adversarial loss"
        )
        matching: Literal["hifigan", "melgan", "encodec"] = Field(
            default="hifigan", description="how the distances of feature maps are weighted; see `feature_loss`"
        )
        feature_weight: float = Field(default=2.0, ge=0, le=1e6, description="weight of the feature matching loss")
        mel_weight: float = Field(
            default=45.0, ge=0, le=1e6,
            description="weight of the mel loss, mean absolute difference; 0: it is logged only",
        )  # fmt: skip
        mel_loss: Literal["single", "multi_scale"] = Field(
            default="single",
            description="single: the model's mel with all bands; multi_scale: seven window lengths (BigVGAN version 2)",
        )
        discriminator_start: int = Field(
            default=1, gt=0, le=2**31 - 1, description="first step with discriminators; before it, the mel loss alone"
        )
        f0: FeaturePart | None = Field(
            default=None,
            description="tracker of F0, for a model that needs it, in the frames of the model's mel; null: f0_harvest",
        )

    config: Config
    example_model = "vocoder/hifigan"

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator."""
        return cls.Config(discriminators=(DiscriminatorPart.named("discriminator/mpd", channels=2, periods=(2, 3)),))

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        if not config.mel_weight and (not config.discriminators or config.discriminator_start > 1):
            raise RecipeError(
                "trainer.mel_weight: 0 leaves the generator without a loss as long as no discriminator judges",
                hint="list trainer.discriminators, and leave out trainer.discriminator_start",
            )
        if not isinstance(model, Vocoder) or not any(True for _ in model.parameters()):
            raise RecipeError(
                f"the trainer gan_vocoder cannot train {type(model).__name__}: it trains vocoders that have parameters",
                hint="amphion list models 'vocoder/*'",
            )
        super().__init__(config, model=model)
        self.tracker = tracker_for(self.mel, config.f0) if model.needs_f0 else None
        self.loss_mel = self.mel.replace(fmax=None)
        self.loss_mels = (self.loss_mel,) if config.mel_loss == "single" else multi_scale(self.mel.sample_rate)
        self.discriminator = Discriminators(
            config.discriminators, weights=config.discriminator_weights, average=config.average
        )

    @property
    def hop_length(self) -> int:
        """The hop of the model's mel, samples."""
        return self.mel.hop_length

    def features(self) -> dict[str, FeaturePart]:
        """F0 in Hz in the frames of the mel, for a model that needs it."""
        return {"f0": self.tracker} if self.tracker else {}

    def networks(self) -> dict[str, nn.Module]:
        """The model as "generator", all discriminators together as "discriminator"."""
        networks: dict[str, nn.Module] = {"generator": self.model}
        return networks | ({"discriminator": self.discriminator} if len(self.discriminator) else {})

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T), and ``f0`` if needed -> the discriminator's update, then the generator's."""
        real, fake = self._copy(self.model, batch)  # (B, 1, N * hop) each
        yield from self._discriminator_update(real, fake, batch, step)
        yield Update("generator", *self._generator_losses(real, fake, batch, step))

    def _judged(self, step: int) -> bool:
        return bool(len(self.discriminator)) and step >= self.config.discriminator_start

    def _discriminator_update(self, real: Tensor, fake: Tensor, batch: Batch, step: int) -> Iterator[Update]:
        """The discriminator's update, unless it has none in this step; recordings and copies are (B, 1, T)."""
        if self._judged(step):
            loss = self.discriminator.loss(real, fake, self.config.adversarial)
            yield Update("discriminator", loss.sum() / batch.totals["items"])

    def _generator_losses(
        self, real: Tensor, fake: Tensor, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The generator's loss of recordings and copies (B, 1, T), and its parts without their weights."""
        items = batch.totals["items"]
        with nullcontext() if self.config.mel_weight else torch.no_grad():
            losses = {"mel": self._mel_distance(fake, real).sum() / items}
        total = self.config.mel_weight * losses["mel"]
        if self._judged(step):
            adversarial_loss, feature = self.discriminator.generator_losses(
                real, fake, self.config.adversarial, self.config.matching
            )
            losses |= {"adversarial": adversarial_loss.sum() / items, "feature": feature.sum() / items}
            total = total + self.config.adversarial_weight * losses["adversarial"]
            total = total + self.config.feature_weight * losses["feature"]
        return total, losses

    def validation_step(self, batch: Batch) -> Validation:
        """Copy synthesis: vocode the mel of each recording. Scores are the mel distance and the recipe's metrics."""
        real, made = self._copy(self.ema.get("generator", self.model), batch)
        scores = {"mel": self._mel_distance(made, real).tolist()}
        return self.validation(made[:, 0].float(), real[:, 0], batch, scores, mel=self.loss_mel)

    def _copy(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """``wave`` (B, T), ``f0`` (B, 1, N) -> recordings and generated audio, (B, 1, N * hop), N = T // hop, each."""
        mel, wave = self.aligned(batch["wave"])
        fake: Tensor = network(mel, batch["f0"][:, 0, : mel.shape[2]]) if self.tracker else network(mel)
        return wave[:, None], fake

    def _mel_distance(self, fake: Tensor, real: Tensor) -> Tensor:
        """(B, 1, T) twice -> the mel loss of each item (B)."""
        return mel_distance(fake[:, 0].float(), real[:, 0], self.loss_mels)
