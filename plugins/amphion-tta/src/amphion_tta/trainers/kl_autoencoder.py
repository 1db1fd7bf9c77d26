"""Training of an autoencoder of mels: it learns to draw each mel from few latents that are almost normal numbers.

Rombach et al.: "High-Resolution Image Synthesis with Latent Diffusion Models", arXiv:2112.10752, section 3.1 and
appendix G: absolute error, a small weight of the divergence, and from some step on a discriminator of patches with the
hinge loss (arXiv:1705.02894), whose weight follows the gradients in the last layer (Esser et al., arXiv:2012.09841, eq.
7). Deviations: Amphion v0.1 updates the autoencoder in one step and the discriminator in the next; here both are
updated in each step. The log-variance of its error, which no optimiser changes, is left out. The adaptive weight is
computed for each item, so that a batch in two halves gives the same update. All losses are divided by the number of
values of a mel.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Batch, MelConfig, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.errors import DataError, RecipeError
from amphion_core.features.mel import hop_aligned_mel

if TYPE_CHECKING:
    from amphion_tta.models.autoencoder_kl import AutoencoderKL

SMALLEST = 1e-4  # added to the norm of a gradient by which another is divided


class KLAutoencoderTrainer(ModelTrainer):
    """Each step updates the autoencoder, and the discriminator from the step on at which it begins."""

    class Config(BaseConfig):
        """The weights of the losses; the defaults are those of Amphion's AudioLDM."""

        divergence_weight: float = Field(
            default=1e-8, ge=0, le=1e3, description="weight of the divergence from normal numbers, in sums over an item"
        )
        discriminator_start: int | None = Field(
            default=50001, gt=0, le=2**31 - 1, description="first step with the discriminator; null: never"
        )
        discriminator_weight: float = Field(
            default=0.5, ge=0, le=1e3, description="weight of the adversarial loss, times the adaptive weight"
        )
        largest_weight: float = Field(default=10.0, ge=0, le=1e6, description="largest adaptive weight")
        channels: int = Field(default=64, gt=0, le=1024, multiple_of=2, description="channels of the discriminator")
        layers: int = Field(default=3, gt=0, le=6, description="layers of the discriminator")

    config: Config
    trains = "autoencoder"
    example_model = "autoencoder/kl"
    example_crop = 8000

    @classmethod
    def example_config(cls) -> Config:
        """A small discriminator from the first step on."""
        return cls.Config(discriminator_start=1, channels=4, layers=1)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model."""
        from amphion_tta.models.autoencoder_kl import AutoencoderKL
        from amphion_tta.models.patch_discriminator import PatchDiscriminator

        if not isinstance(model, AutoencoderKL):
            raise RecipeError(
                f"the trainer kl_autoencoder cannot train {type(model).__name__}: it trains autoencoder/kl",
                hint="amphion list trainers",
            )
        super().__init__(config, model=model)
        self.network = model
        self.mel: MelConfig = model.config.mel
        judged = config.discriminator_start is not None
        self.discriminator = PatchDiscriminator(config.channels, config.layers) if judged else None
        self.higher_is_better = {"mel": False, "divergence": None, "deviation": None}

    @property
    def sample_rate(self) -> int:
        """The rate of the model's mel, Hz."""
        return self.mel.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples of a latent."""
        return self.network.hop_length

    def networks(self) -> dict[str, nn.Module]:
        """The model, and the discriminator where there is one."""
        networks: dict[str, nn.Module] = {"autoencoder": self.network}
        return networks | ({"discriminator": self.discriminator} if self.discriminator is not None else {})

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T), all of one length -> the update of the discriminator, then that of the autoencoder.

        Raises DataError for recordings of several lengths.
        """
        if bool((batch["lengths"] != batch["wave"].shape[1]).any()):
            raise DataError(
                "the recordings of a batch have several lengths, and this trainer needs one",
                hint="state data.crop, the samples of each item, such as data.crop=81920",
            )
        real = hop_aligned_mel(batch["wave"], self.mel)
        real = real[..., : real.shape[2] // self.network.config.reduction * self.network.config.reduction]
        noise = torch.randn(len(real), *self.network.latent_shape(real.shape[2]), device=real.device)
        items, values = batch.totals["items"], real[0].numel()
        judge = self.discriminator if step >= (self.config.discriminator_start or step + 1) else None
        with LastInput(self.network.network.decoder.conv_out) as last:
            made, posterior = self.network(real, noise)
        made = made.float()  # once: the gradients of both losses are taken from this tensor
        drawn = F.l1_loss(made, real, reduction="none").sum((1, 2))
        if judge is not None:
            yield Update("discriminator", _hinge(judge, real, made.detach()).sum() / items)
        divergence = posterior.divergence()
        loss = drawn + self.config.divergence_weight * divergence
        logs = {
            "mel": drawn.detach().sum() / (items * values),
            "divergence": divergence.detach().sum() / (items * values),
        }
        if judge is not None:
            adversarial = -judge(made[:, None]).float().mean((1, 2, 3))
            weight = self._adaptive_weight(drawn, adversarial, made, last.value)
            loss = loss + self.config.discriminator_weight * weight * adversarial
            logs |= {"adversarial": adversarial.detach().sum() / items, "weight": weight.sum() / items}
        yield Update("autoencoder", loss.sum() / (items * values), logs)

    def _adaptive_weight(self, drawn: Tensor, adversarial: Tensor, made: Tensor, features: Tensor) -> Tensor:
        """How many times the gradient of ``drawn`` (B) is larger than that of ``adversarial`` (B), for each item (B).

        The gradients are those of the weights of the last convolution, whose input are ``features`` (B, C, H, W).
        """
        norms = []
        layer = self.network.network.decoder.conv_out
        for loss in (drawn, adversarial):
            (towards,) = torch.autograd.grad(loss.sum(), made, retain_graph=True)
            picture = (towards.mT if self.network.config.time_first else towards)[:, None].to(features.dtype)
            rows = [  # sums over the picture of each product of a feature in the window and the gradient
                (F.unfold(one[None], layer.kernel_size, padding=layer.padding)[0] @ out.flatten()).norm()
                for one, out in zip(features.detach(), picture, strict=True)
            ]
            norms.append(torch.stack(rows).float())
        return (norms[0] / (norms[1] + SMALLEST)).clamp(0, self.config.largest_weight)

    def validation_step(self, batch: Batch) -> Validation:
        """The absolute error of mels drawn from the means, the divergence of a latent, and the latents' deviation."""
        network = cast("AutoencoderKL", self.ema.get("autoencoder", self.network))
        scores: dict[str, list[float]] = {name: [] for name in self.higher_is_better}
        pictures: dict[str, Tensor] = {}
        for id, wave, length in zip(batch.ids, batch["wave"], batch["lengths"].tolist(), strict=True):
            real = hop_aligned_mel(wave[None, :length], self.mel)
            posterior = network.encode(real)
            made = network.decode(posterior.mean)[..., : real.shape[2]].float()
            scores["mel"].append(float(F.l1_loss(made, real)))
            scores["divergence"].append(float(posterior.divergence()) / posterior.mean[0].numel())
            scores["deviation"].append(float(posterior.mean.float().std()))
            pictures[id.replace("/", "_")] = made[0].cpu()
        return Validation(scores, pictures=pictures)


class LastInput:
    """Inside, remembers what ``layer`` read last, as ``value``."""

    value: Tensor

    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def __enter__(self) -> "LastInput":
        self._hook = self._layer.register_forward_pre_hook(self._remember)
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()

    def _remember(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.value = inputs[0]


def _hinge(judge: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """Mels (B, F, N) twice -> the discriminator's hinge loss of each item (B)."""
    right, wrong = judge(real[:, None]).float(), judge(made[:, None]).float()
    return 0.5 * (F.relu(1 - right).mean((1, 2, 3)) + F.relu(1 + wrong).mean((1, 2, 3)))
