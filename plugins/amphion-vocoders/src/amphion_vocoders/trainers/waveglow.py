"""Training of WaveGlow by the likelihood of recordings: one network and one loss.

Prenger, Valle, Catanzaro: "WaveGlow", arXiv:1811.00002, eq. 8. Deviations: none. The loss is divided by the number of
samples, as in the authors' code; the constant of the normal distribution is left out.
"""

import math
from collections.abc import Iterator
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import (
    BaseConfig,
    Batch,
    MelConfig,
    MetricPart,
    ModelArchitecture,
    ModelTrainer,
    Update,
    Validation,
)
from amphion_core.errors import RecipeError
from amphion_core.features.mel import hop_aligned_mel
from amphion_core.training.metrics import validation_metrics
from amphion_vocoders.trainers.copies import score_copies
from amphion_vocoders.trainers.mel_losses import mel_distance


class WaveGlowTrainer(ModelTrainer):
    """Each step makes the recordings of the batch more likely under the flow."""

    class Config(BaseConfig):
        """The prior of the latents, and what a validation measures."""

        sigma: float = Field(default=1.0, gt=0, le=100, description="standard deviation of the latents' distribution")
        metrics: tuple[MetricPart, ...] = Field(
            default=(), description="metrics of copy synthesis at each validation: pesq_wb, stoi, m_stft, mcd"
        )

    config: Config
    trains = "vocoder"
    example_model = "vocoder/waveglow"
    example_crop = 2048

    @classmethod
    def example_config(cls) -> Config:
        """The defaults."""
        return cls.Config()

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        from amphion_vocoders.models.waveglow import WaveGlow

        super().__init__(config, model=model)
        if not isinstance(model, WaveGlow):
            raise RecipeError(
                f"the trainer waveglow cannot train {type(model).__name__}: it trains vocoder/waveglow",
                hint="amphion list trainers",
            )
        self.mel: MelConfig = model.config.mel
        self.metrics = validation_metrics(config.metrics, frozenset({"reference"}), "pairs of recording and copy")
        self.higher_is_better = {"nll": False, "mel": False} | {
            name: metric.higher_is_better for name, metric in self.metrics.items()
        }

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model's mel, Hz."""
        return self.mel.sample_rate

    def networks(self) -> dict[str, nn.Module]:
        """The model as "flow"."""
        return {"flow": self.model}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T) -> one update."""
        mel, wave = self._aligned(batch["wave"])
        loss = self.model(mel, wave).negative_log_likelihood(self.config.sigma)
        items = batch.totals["items"]
        complete = (loss.detach() + _constant(self.config.sigma)).sum() / items
        yield Update("flow", loss.sum() / items, {"nll": complete})

    def validation_step(self, batch: Batch) -> Validation:
        """The likelihood of each recording, and copy synthesis with the seed 0, without the denoiser."""
        network: Any = self.ema.get("flow", self.model)
        mel, wave = self._aligned(batch["wave"])
        likelihood = network(mel, wave).negative_log_likelihood(self.config.sigma) + _constant(self.config.sigma)
        made = network.vocode(mel, seed=0, controls=network.Controls(denoise=0.0))
        scores = {"nll": likelihood.tolist(), "mel": mel_distance(made, wave, (self.mel,)).tolist()}
        return score_copies(made, wave, mel=self.mel, metrics=self.metrics, ids=batch.ids, scores=scores)

    def _aligned(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) -> mel (B, F, N) and recordings (B, N * hop), N = T // hop."""
        mel = hop_aligned_mel(wave, self.mel)
        return mel, wave[:, : mel.shape[2] * self.mel.hop_length]


def _constant(sigma: float) -> float:
    """What is missing of the negative logarithm of the density, for one sample."""
    return 0.5 * math.log(2 * math.pi * sigma**2)
