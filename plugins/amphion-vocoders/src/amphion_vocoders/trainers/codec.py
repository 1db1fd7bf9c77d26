"""GAN training of a neural codec: the decoded audio is compared with the recording, and discriminators judge it.

Kumar et al.: "High-Fidelity Audio Compression with Improved RVQGAN" (DAC), arXiv:2306.06546, section 3.5: a mel loss of
seven window lengths, feature matching, least-squares adversarial loss, commitment and codebook losses; the default
weights are theirs. EnCodec (arXiv:2210.13438, section 3.4) adds the difference of the waves and uses hinge losses.
Deviation from EnCodec: its balancer, which scales each gradient by its running norm, is not used.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import Batch, Codec, DiscriminatorPart, MelConfig, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_vocoders.quantization import EMACodebook, FactorizedCodebook, ResidualQuantizer, perplexity
from amphion_vocoders.trainers.adversarial import Adversarial, Discriminators, Matching
from amphion_vocoders.trainers.mel_losses import mel_distance, multi_scale
from amphion_vocoders.trainers.vocoder_trainer import VocoderTrainer

SHOWN_SCALE = 5  # which of the seven mels pictures show: 160 bands, windows of 1,024 samples


class Copies(NamedTuple):
    """Recordings and what the codec makes of them, (B, 1, T) each, and the codec's own losses of each item, (B)."""

    real: Tensor
    made: Tensor
    losses: Mapping[str, Tensor]


class CodecTrainer(VocoderTrainer):
    """Each step updates the discriminators, and then the codec with the updated discriminators.

    A codec with further heads has a subclass, which overrides `copies` to return their losses, `loss_weights`, and
    `networks` where the heads are not part of the model.
    """

    class Config(VocoderTrainer.Config):
        """The losses and their weights; the defaults are DAC's."""

        discriminators: tuple[DiscriminatorPart, ...] = Field(
            default=(), description="discriminators, all in one optimiser: discriminator/dac, discriminator/ms_stftd"
        )
        adversarial: Adversarial = Field(
            default="lsgan", description="kind of the adversarial loss; see `generator_loss`"
        )
        matching: Matching = Field(
            default="hifigan", description="how the distances of feature maps are weighted; see `feature_loss`"
        )
        average: bool = Field(
            default=False,
            description="divide the losses of a discriminator by the number of its sub-discriminators",
        )
        discriminator_start: int = Field(default=1, gt=0, le=2**31 - 1, description="first step with discriminators")
        codebook_start: int = Field(
            default=1, gt=0, le=2**31 - 1,
            description="first step with codebooks; before it the decoder reads the latents, and k-means of these "
            "gives the codebooks their entries",
        )  # fmt: skip
        mel_weight: float = Field(default=15.0, gt=0, le=1e6, description="weight of the mel loss of seven windows")
        wave_weight: float = Field(
            default=0.0, ge=0, le=1e6, description="weight of the mean absolute difference of the waves"
        )
        adversarial_weight: float = Field(
            default=1.0, ge=0, le=1e6, description="weight of the codec's adversarial loss"
        )
        feature_weight: float = Field(default=2.0, ge=0, le=1e6, description="weight of the feature matching loss")
        commitment_weight: float = Field(
            default=0.25, ge=0, le=1e6, description="weight of the encoder's distance from the entries"
        )
        codebook_weight: float = Field(
            default=1.0, ge=0, le=1e6, description="weight of the distance of entries that learn by gradients"
        )

    config: Config
    trains = "codec"
    example_model = "codec/encodec"
    model: Codec

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator; the codebooks begin at the second step."""
        judge = DiscriminatorPart.named("discriminator/ms_stftd", ffts=(128,), hops=(32,), filters=2)
        return cls.Config(discriminators=(judge,), wave_weight=0.1, codebook_start=2)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        if not isinstance(model, Codec):
            raise RecipeError(
                f"the trainer codec cannot train {type(model).__name__}: it trains codecs",
                hint="amphion list models 'codec/*'",
            )
        self.loss_mels = multi_scale(model.sample_rate)
        super().__init__(config, model=model)
        self.higher_is_better = dict(self.higher_is_better) | {"perplexity": None}
        self.discriminator = Discriminators(config.discriminators, average=config.average)

    @classmethod
    def mel_of(cls, model: ModelArchitecture) -> MelConfig:
        """The mel that pictures show: one of those of the loss."""
        assert isinstance(model, Codec)
        return multi_scale(model.sample_rate)[SHOWN_SCALE]

    @property
    def hop_length(self) -> int:
        """Samples of each frame of codes."""
        return self.model.hop_length

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weights of the losses that `copies` returns, by their names."""
        return {"commitment": self.config.commitment_weight, "codebook": self.config.codebook_weight}

    def networks(self) -> dict[str, nn.Module]:
        """The model as "codec", all discriminators together as "discriminator"."""
        networks: dict[str, nn.Module] = {"codec": self.model}
        return networks | ({"discriminator": self.discriminator} if len(self.discriminator) else {})

    def copies(self, network: nn.Module, batch: Batch) -> Copies:
        """``wave`` (B, T) -> recordings of whole frames, what ``network`` decodes, and its losses."""
        wave = batch["wave"]
        real = wave[:, None, : wave.shape[1] // self.hop_length * self.hop_length]
        made, losses = network(real)
        return Copies(real, made, losses)

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T), all of one length -> the discriminator's update, then the codec's."""
        for module in self.model.modules():
            if isinstance(module, ResidualQuantizer):
                module.bypassed = step < self.config.codebook_start
                module.collecting = step == self.config.codebook_start - 1
        copies, items = self.copies(self.model, batch), batch.totals["items"]
        judged = bool(len(self.discriminator)) and step >= self.config.discriminator_start
        if judged:
            loss = self.discriminator.loss(copies.real, copies.made, self.config.adversarial)
            yield Update("discriminator", loss.sum() / items)
        losses = self._losses(copies, judged)
        logs = {name: loss.sum() / items for name, (loss, _) in losses.items()}
        total = torch.stack([weight * logs[name] for name, (_, weight) in losses.items()]).sum()
        books = [
            module
            for module in self.model.modules()
            if isinstance(module, EMACodebook) or (isinstance(module, FactorizedCodebook) and module.threshold)
        ]
        if books and step >= self.config.codebook_start:
            # The same in all micro-batches, so each contributes its share of the items.
            used = torch.stack([book.perplexity() for book in books]).mean()
            logs["perplexity"] = used * len(copies.real) / items
        yield Update("codec", total, logs)

    def validation_step(self, batch: Batch) -> Validation:
        """Code and decode each recording. Scores: mel distance, waves, entries in use, and the recipe's metrics."""
        network = self.ema.get("codec", self.model)
        assert isinstance(network, Codec)
        copies = self.copies(network, batch)
        codes = network.encode(copies.real).indices  # (K, B, N)
        used = [perplexity(item, network.codebook_size).mean() for item in codes.transpose(0, 1)]
        scores = {
            "mel": self._mel_distance(copies).tolist(),
            "perplexity": [float(value) for value in used],
        }
        return self.validation(copies.made[:, 0].float(), copies.real[:, 0], batch, scores, mel=self.mel)

    def _losses(self, copies: Copies, judged: bool) -> dict[str, tuple[Tensor, float]]:
        """Each loss of the codec (B), and its weight."""
        config = self.config
        losses: dict[str, tuple[Tensor, float]] = {"mel": (self._mel_distance(copies), config.mel_weight)}
        if config.wave_weight:
            difference = (copies.made.float() - copies.real).abs().mean((1, 2))
            losses["wave"] = (difference, config.wave_weight)
        losses |= {name: (loss, self.loss_weights[name]) for name, loss in copies.losses.items()}
        if judged:
            adversarial, feature = self.discriminator.generator_losses(
                copies.real, copies.made, config.adversarial, config.matching
            )
            losses["adversarial"] = (adversarial, config.adversarial_weight)
            losses["feature"] = (feature, config.feature_weight)
        return losses

    def _mel_distance(self, copies: Copies) -> Tensor:
        """The mel loss of each item (B)."""
        return mel_distance(copies.made[:, 0].float(), copies.real[:, 0], self.loss_mels)
