"""Training of DiffWave: the network learns to predict the noise in noisy recordings.

Kong, Ping, Huang, Zhao, Catanzaro: "DiffWave", arXiv:2009.09761, algorithm 1.
Deviations: the distance is the mean absolute difference, as in the public implementation; the paper has the square.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.api import Batch, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_vocoders.trainers.mel_losses import mel_distance
from amphion_vocoders.trainers.vocoder_trainer import VocoderTrainer

PROBES = 4  # diffusion steps, spread evenly, at which a validation measures the prediction


class DiffWaveTrainer(VocoderTrainer):
    """Each step adds noise of a random level to each recording and trains the network to find it."""

    example_model = "vocoder/diffwave"
    errors = ("noise", "mel")

    def __init__(self, config: VocoderTrainer.Config, *, model: ModelArchitecture) -> None:
        from amphion_vocoders.models.diffwave import DiffWave

        if not isinstance(model, DiffWave):
            raise RecipeError(
                f"the trainer diffwave cannot train {type(model).__name__}: it trains vocoder/diffwave",
                hint="amphion list trainers",
            )
        super().__init__(config, model=model)
        self.levels = torch.from_numpy(model.config.levels).float()  # alpha-bar of each diffusion step

    def networks(self) -> dict[str, nn.Module]:
        """The model as "denoiser"."""
        return {"denoiser": self.model}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T) -> one update. The diffusion step of each item and the noise are drawn at random."""
        mel, wave = self.aligned(batch["wave"])
        steps = torch.randint(len(self.levels), (len(wave),), device=wave.device)
        loss = self._distance(self.model, wave, mel, steps, torch.randn_like(wave)).sum() / batch.totals["items"]
        yield Update("denoiser", loss, {"noise": loss.detach()})

    def validation_step(self, batch: Batch) -> Validation:
        """The distance to fixed noise at fixed steps, and copy synthesis with the schedule "fast" and the seed 0."""
        network: Any = self.ema.get("denoiser", self.model)
        mel, wave = self.aligned(batch["wave"])
        noise = torch.randn(wave.shape[1], generator=torch.Generator().manual_seed(0)).to(wave).expand_as(wave)
        probes = torch.linspace(0, len(self.levels) - 1, PROBES, device=wave.device).round().long()
        distances = [self._distance(network, wave, mel, probe.expand(len(wave)), noise) for probe in probes]
        made = network.vocode(mel, seed=0)
        scores = {
            "noise": torch.stack(distances).mean(0).tolist(),
            "mel": mel_distance(made, wave, (self.mel,)).tolist(),
        }
        return self.validation(made, wave, batch, scores, mel=self.mel)

    def _distance(self, network: nn.Module, wave: Tensor, mel: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """Recordings and noise (B, T), mels (B, F, N), diffusion steps (B) -> mean |noise - predicted noise| (B)."""
        level = self.levels.to(wave.device)[steps, None]
        noisy = level.sqrt() * wave + (1 - level).sqrt() * noise
        return (network(noisy, mel, steps)[:, 0].float() - noise).abs().mean(1)
