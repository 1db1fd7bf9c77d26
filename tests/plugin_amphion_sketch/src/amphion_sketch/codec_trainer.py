"""Trains SketchCodec against a discriminator, on crops."""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Batch, ModelArchitecture, ModelPart, ModelTrainer, Update, Validation


class SketchCodecTrainer(ModelTrainer):
    """First the discriminator, then the codec against the updated discriminator."""

    class Config(BaseConfig):
        """The discriminator and its weight."""

        judge: ModelPart = Field(
            default_factory=lambda: ModelPart.named("discriminator/sketch_judge"), description="the discriminator"
        )
        adversarial_weight: float = Field(default=0.1, ge=0, description="weight of the adversarial loss")

    config: Config
    example_model = "codec/sketch_codec"
    example_crop = 1600
    higher_is_better = {"distance": False}

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        super().__init__(config, model=model)
        self.judge: nn.Module = config.judge.build()

    @property
    def sample_rate(self) -> int:
        """The codec's."""
        return int(self.model.sample_rate)

    @property
    def hop_length(self) -> int:
        """The codec's."""
        return int(self.model.hop_length)

    def networks(self) -> dict[str, nn.Module]:
        """The codec and the discriminator."""
        return {"codec": self.model, "judge": self.judge}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T), all of one length -> the discriminator's update, then the codec's."""
        real = self._whole_frames(batch)
        made, losses = self.model(real)
        items = batch.totals["items"]
        (score_real,), _ = self.judge(real)
        (score_made,), _ = self.judge(made.detach())
        yield Update("judge", ((1 - score_real).square() + score_made.square()).mean((1, 2)).sum() / items)
        (score_made,), _ = self.judge(made)
        logs = {name: loss.mean(1).sum() / items for name, loss in losses.items()}
        logs["distance"] = (made - real).abs().mean((1, 2)).sum() / items
        logs["adversarial"] = (1 - score_made).square().mean((1, 2)).sum() / items
        weight = self.config.adversarial_weight
        loss = logs["distance"] + logs["codebook"] + 0.25 * logs["commitment"] + weight * logs["adversarial"]
        yield Update("codec", loss, logs)

    def validation_step(self, batch: Batch) -> Validation:
        """The mean distance of each item's wave."""
        wave = self._whole_frames(batch)
        made, _ = self.ema.get("codec", self.model)(wave)
        return Validation({"distance": (made - wave).abs().mean((1, 2)).tolist()}, {batch.ids[0]: made[0, 0].cpu()})

    def _whole_frames(self, batch: Batch) -> Tensor:
        """(B, 1, T), T a multiple of the hop."""
        wave = batch["wave"][:, None]
        return wave[..., : wave.shape[2] // self.hop_length * self.hop_length]
