"""GAN training of a feed-forward vocoder, as HiFi-GAN: discriminators of any names against one generator.

Kong, Kim, Bae: "HiFi-GAN", arXiv:2010.05646, section 2.4: least-squares adversarial loss (eq. 1, 2), mel loss (eq. 3),
feature matching loss (eq. 4), the generator's sum (eq. 5). Sums over sub-discriminators are sums, not means.
Deviations: none; the mel loss compares all bands up to half the rate, as the authors' code does.
"""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    Audio,
    BaseConfig,
    Batch,
    MelConfig,
    MetricPart,
    ModelArchitecture,
    ModelPart,
    ModelTrainer,
    Update,
    Validation,
)  # fmt: skip
from amphion_core.errors import DataError, RecipeError
from amphion_core.features.mel import mel_spectrogram
from amphion_vocoders.trainers.adversarial import discriminator_loss, feature_loss, generator_loss


class GANVocoderTrainer(ModelTrainer):
    """Discriminator first, then the generator against the updated discriminator; both every step."""

    class Config(BaseConfig):
        """The losses and their weights; the defaults are the paper's."""

        discriminators: tuple[ModelPart, ...] = Field(
            default=(), description="networks that judge, all in one optimiser: discriminator/mpd, ..."
        )
        adversarial: Literal["lsgan", "hinge"] = Field(default="lsgan", description="what real and generated score")
        adversarial_weight: float = Field(default=1.0, ge=0, description="weight of the generator's adversarial loss")
        feature_weight: float = Field(default=2.0, ge=0, description="weight of the feature matching loss")
        mel_weight: float = Field(default=45.0, ge=0, description="weight of the mel loss, mean absolute difference")
        discriminator_start: int = Field(
            default=1, gt=0, description="first step with discriminators; before, the mel loss alone"
        )
        metrics: tuple[MetricPart, ...] = Field(
            default=(), description="metrics of copy synthesis at each validation: pesq_wb, stoi, m_stft, mcd"
        )

    config: Config
    higher_is_better = frozenset({"pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr"})

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        super().__init__(config, model=model)
        self.mel: MelConfig = model.config.mel
        self.loss_mel = self.mel.replace(fmax=None)
        self.discriminator = nn.ModuleDict()
        for part in config.discriminators:
            if (name := part.name.rpartition("/")[2]) in self.discriminator:
                raise RecipeError(f"trainer.discriminators: {part.name} stands there twice")
            self.discriminator[name] = part.build()
        self.metrics = {part.name: part.build() for part in config.metrics}

    @property
    def sample_rate(self) -> int:
        """The model's."""
        return self.mel.sample_rate

    def networks(self) -> dict[str, nn.Module]:
        """The model as "generator", all discriminators together as "discriminator"."""
        judges: dict[str, nn.Module] = {"discriminator": self.discriminator} if len(self.discriminator) else {}
        return {"generator": self.model, **judges}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T) -> the discriminator's update, then the generator's."""
        mel = mel_spectrogram(batch["wave"], self.mel)  # (B, F, N)
        fake = self.model(mel)  # (B, 1, N * hop)
        real = batch["wave"][:, None, : fake.shape[2]]
        items = batch.totals["items"]
        adversarial = bool(len(self.discriminator)) and step >= self.config.discriminator_start
        if adversarial:
            scores, _ = self._judge(real)
            found, _ = self._judge(fake.detach())
            yield Update("discriminator", discriminator_loss(scores, found, self.config.adversarial).sum() / items)
        wanted = mel_spectrogram(real[:, 0], self.loss_mel)
        made = mel_spectrogram(fake[:, 0].float(), self.loss_mel)
        losses = {"mel": (made - wanted).abs().mean((1, 2)).sum() / items}
        loss = self.config.mel_weight * losses["mel"]
        if adversarial:
            _, features = self._judge(real)
            scores, made_features = self._judge(fake)
            losses["adversarial"] = generator_loss(scores, self.config.adversarial).sum() / items
            losses["feature"] = feature_loss(features, made_features).sum() / items
            loss = loss + self.config.adversarial_weight * losses["adversarial"]
            loss = loss + self.config.feature_weight * losses["feature"]
        yield Update("generator", loss, losses)

    def validation_step(self, batch: Batch) -> Validation:
        """Copy synthesis: the recording's mel, vocoded; the mel distance and the metrics of the recipe."""
        net: Any = self.ema.get("generator", self.model)
        wave = batch["wave"]
        made = net(mel_spectrogram(wave, self.mel))[:, 0].float()  # (B, N * hop)
        real = wave[:, : made.shape[1]]
        pictures = mel_spectrogram(made, self.loss_mel)
        distance = (pictures - mel_spectrogram(real, self.loss_mel)).abs().mean((1, 2))
        scores: dict[str, list[float]] = {"mel": distance.tolist()}
        for name, metric in self.metrics.items():
            scores[name] = [_score(metric, *pair, self.sample_rate) for pair in zip(made, real, strict=True)]
        ids = [id.replace("/", "_") for id in batch.ids]
        return Validation(
            scores,
            dict(zip(ids, made.cpu(), strict=True)),
            dict(zip(ids, pictures.cpu(), strict=True)),
        )

    def _judge(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> the scores and feature maps of all discriminators, one list after the other."""
        found = [judge(wave) for judge in self.discriminator.values()]
        return [score for scores, _ in found for score in scores], [one for _, features in found for one in features]


def _score(metric: Any, made: Tensor, real: Tensor, rate: int) -> float:
    """One metric of one pair (T,), NaN where it is not defined."""
    pair = [Audio(wave.cpu().clamp(-1, 1).numpy(), rate) for wave in (made, real)]
    try:
        return float(metric.score(*(audio.resample(metric.sample_rate or rate) for audio in pair)))
    except DataError:
        return float("nan")
