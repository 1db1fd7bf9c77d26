"""Training of WaveGlow by the likelihood of recordings: one network and one loss.

Prenger, Valle, Catanzaro: "WaveGlow", arXiv:1811.00002, eq. 8. Deviations: none. The loss is divided by the number of
samples, as in the authors' code; the constant of the normal distribution is left out.
"""

import math
from collections.abc import Iterator
from typing import Any

from pydantic import Field
from torch import nn

from amphion_core.api import Batch, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_vocoders.trainers.mel_losses import mel_distance
from amphion_vocoders.trainers.vocoder_trainer import VocoderTrainer


class WaveGlowTrainer(VocoderTrainer):
    """Each step makes the recordings of the batch more likely under the flow."""

    class Config(VocoderTrainer.Config):
        """The prior of the latents, and what a validation measures."""

        sigma: float = Field(default=1.0, gt=0, le=100, description="standard deviation of the latents' distribution")

    config: Config
    example_model = "vocoder/waveglow"
    errors = ("nll", "mel")

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        from amphion_vocoders.models.waveglow import WaveGlow

        if not isinstance(model, WaveGlow):
            raise RecipeError(
                f"the trainer waveglow cannot train {type(model).__name__}: it trains vocoder/waveglow",
                hint="amphion list trainers",
            )
        super().__init__(config, model=model)

    def networks(self) -> dict[str, nn.Module]:
        """The model as "flow"."""
        return {"flow": self.model}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T) -> one update."""
        mel, wave = self.aligned(batch["wave"])
        loss = self.model(mel, wave).negative_log_likelihood(self.config.sigma)
        items = batch.totals["items"]
        complete = (loss.detach() + _constant(self.config.sigma)).sum() / items
        yield Update("flow", loss.sum() / items, {"nll": complete})

    def validation_step(self, batch: Batch) -> Validation:
        """The likelihood of each recording, and copy synthesis with the seed 0, without the denoiser."""
        network: Any = self.ema.get("flow", self.model)
        mel, wave = self.aligned(batch["wave"])
        likelihood = network(mel, wave).negative_log_likelihood(self.config.sigma) + _constant(self.config.sigma)
        made = network.vocode(mel, seed=0, controls=network.Controls(denoise=0.0))
        scores = {"nll": likelihood.tolist(), "mel": mel_distance(made, wave, (self.mel,)).tolist()}
        return self.validation(made, wave, batch, scores, mel=self.mel)


def _constant(sigma: float) -> float:
    """What is missing of the negative logarithm of the density, for one sample."""
    return 0.5 * math.log(2 * math.pi * sigma**2)
