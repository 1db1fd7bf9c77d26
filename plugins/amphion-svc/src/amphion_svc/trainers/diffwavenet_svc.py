"""Training of DiffWaveNetSVC: the network learns to predict the noise in mels, or the mels.

Ho, Jain, Abbeel: "Denoising Diffusion Probabilistic Models", arXiv:2006.11239, algorithm 1.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import Batch, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_svc.losses import absolute_distance
from amphion_svc.trainers.converter_trainer import ConverterTrainer, Learned
from amphion_svc.trainers.frame_noise import frame_noise, squared_distance

if TYPE_CHECKING:
    from amphion_svc.models.diffwavenet import DiffWaveNetSVC

PROBES = 4  # diffusion steps, spread evenly, at which a validation measures the prediction


class DiffWaveNetTrainer(ConverterTrainer):
    """Each step adds noise of a random level to each mel and trains the network to remove it."""

    class Config(ConverterTrainer.Config):
        """How a validation makes mels."""

        validation_steps: int = Field(
            default=10, ge=1, le=1000, description="steps of DPM-Solver++ with which a validation makes each mel"
        )

    config: Config
    network: "DiffWaveNetSVC"
    example_model = "svc/diffwavenet"

    @classmethod
    def example_config(cls) -> Config:
        """Two steps."""
        return cls.Config(validation_steps=2)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and for metrics that cannot be computed."""
        from amphion_svc.models.diffwavenet import DiffWaveNetSVC

        if not isinstance(model, DiffWaveNetSVC):
            raise RecipeError(
                f"the trainer diffwavenet_svc cannot train {type(model).__name__}: it trains svc/diffwavenet",
                hint="amphion list trainers",
            )
        super().__init__(config, model=model)
        self.diffusion = model.config.diffusion
        self.higher_is_better = {"prediction": False, **self.higher_is_better}

    def networks(self) -> dict[str, nn.Module]:
        """The whole model."""
        return {"model": self.network}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``f0``, the content features and ``speaker`` or ``voice`` -> the update of the network.

        The diffusion step of each item and the noise are drawn at random.
        """
        learned = self.learned(batch)
        steps = torch.randint(self.diffusion.steps, (len(batch),), device=learned.mel.device)
        noise = frame_noise(learned.lengths, learned.mel)
        loss = self._distance(self.network, learned, steps, noise).sum()
        loss = loss / (batch.totals["frames"] * self.mel.n_mels)
        yield Update("model", loss, {"prediction": loss.detach()})

    def validation_step(self, batch: Batch) -> Validation:
        """The squared error of the prediction at fixed steps, the error of mels made from noise, and the metrics.

        The mels have the singer of the recording and the seed 0; their absolute error is in the units of the mel.
        """
        network = cast("DiffWaveNetSVC", self.ema.get("model", self.network))
        learned = self.learned(batch)
        noise = frame_noise(learned.lengths, learned.mel, torch.Generator().manual_seed(0))
        probes = torch.linspace(0, self.diffusion.steps - 1, PROBES, device=noise.device).round().long()
        distances = [self._distance(network, learned, probe.expand(len(batch)), noise) for probe in probes]
        condition, _ = network.encode(**learned.inputs)
        controls = network.Controls(sampler="dpm_solver", steps=self.config.validation_steps)
        made = network.generate(condition, learned.lengths, seed=0, controls=controls)
        values = learned.lengths * self.mel.n_mels
        errors: dict[str, Sequence[float]] = {
            "prediction": (torch.stack(distances).mean(0) / values).tolist(),
            "mel": (absolute_distance(made, learned.mel, learned.mask) / values).tolist(),
        }
        return self.validated(network, batch, errors, made)

    def _distance(self, network: "DiffWaveNetSVC", learned: Learned, steps: Tensor, noise: Tensor) -> Tensor:
        """Diffusion steps (B) and noise (B, F, N) -> squared error of its prediction, summed over valid frames (B)."""
        clean = network.scaled(learned.mel)
        found = network(**learned.inputs, noisy=self.diffusion.with_noise(clean, noise, steps), step=steps)
        return squared_distance(found, self.diffusion.wanted(clean, noise, steps), learned.mask)
