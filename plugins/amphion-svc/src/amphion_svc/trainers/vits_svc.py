"""Training of VitsSVC: a variational autoencoder of recordings, a prior from their features, and discriminators.

Kim, Kong, Son, arXiv:2106.06103, section 2: reconstruction loss (eq. 2), KL divergence (eq. 3 and 4), adversarial and
feature matching loss (eq. 8 to 10). Weights as in the published training: 45, 1, 1 and 2.
Deviations: none. The mel of a slice comes from the spectrogram of the whole crop, as in VITS.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Batch, DiscriminatorPart, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_core.features.linear import linear_spectrogram
from amphion_core.features.mel import mel_of_linear, mel_spectrogram
from amphion_core.modules.latent_flow import kl_loss
from amphion_core.modules.masks import slice_frames
from amphion_svc.models.vits_parts import VitsSVCOutput
from amphion_svc.trainers.converter_trainer import ConverterTrainer, Learned
from amphion_vocoders import Discriminators

if TYPE_CHECKING:
    from amphion_svc.models.vits import VitsSVC


class VitsSVCTrainer(ConverterTrainer):
    """Each step updates the discriminators, and then the whole network with the updated discriminators."""

    class Config(ConverterTrainer.Config):
        """The losses and their weights; the defaults are those of the published training."""

        discriminators: tuple[DiscriminatorPart, ...] = Field(
            default=(), description="discriminators, all in one optimiser: discriminator/mpd, ..."
        )
        mel_weight: float = Field(default=45.0, ge=0, le=1e6, description="weight of the mel loss of the decoded slice")
        kl_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the KL divergence")
        adversarial_weight: float = Field(default=1.0, ge=0, le=1e6, description="weight of the adversarial loss")
        feature_weight: float = Field(default=2.0, ge=0, le=1e6, description="weight of the feature matching loss")

    config: Config
    example_model = "svc/vits"

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator, and weights with which plain gradient descent at a high rate does not diverge."""
        small = DiscriminatorPart.named("discriminator/mpd", channels=2, periods=(2, 3))
        return cls.Config(discriminators=(small,), mel_weight=1.0, kl_weight=0.1)

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """Raises RecipeError for another model, and for metrics that cannot be computed."""
        from amphion_svc.models.vits import VitsSVC

        if not isinstance(model, VitsSVC):
            raise RecipeError(
                f"the trainer vits_svc cannot train {type(model).__name__}", hint="write model: svc/vits in the recipe"
            )
        super().__init__(config, model=model)
        self.loss_mel = self.mel.replace(fmax=None)
        self.discriminator = Discriminators(config.discriminators)
        self.higher_is_better = {"mel": False, "kl": None} | dict(self.converted.higher_is_better)

    def networks(self) -> dict[str, nn.Module]:
        """The model as "generator", all discriminators together as "discriminator"."""
        networks: dict[str, nn.Module] = {"generator": self.network}
        return networks | ({"discriminator": self.discriminator} if len(self.discriminator) else {})

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``f0``, the content features and ``speaker`` or ``voice`` -> both updates."""
        c, totals = self.config, batch.totals
        out, spec = self._forward(cast("VitsSVC", self.network), batch, self.learned(batch))
        real = self._slice(batch["wave"], out, spec.shape[2])
        adversarial = bool(len(self.discriminator))
        if adversarial:
            yield Update("discriminator", self.discriminator.loss(real, out.wave).sum() / totals["items"])
        losses = {
            "mel": self._mel_distance(out, spec).sum() / totals["items"],
            "kl": kl_loss(out.z_p, out.logs_q, out.m_p, out.logs_p, out.mask) / totals["frames"],
        }
        total = c.mel_weight * losses["mel"] + c.kl_weight * losses["kl"]
        if adversarial:
            judged, feature = self.discriminator.generator_losses(real, out.wave)
            losses |= {"adversarial": judged.sum() / totals["items"], "feature": feature.sum() / totals["items"]}
            total = total + c.adversarial_weight * losses["adversarial"] + c.feature_weight * losses["feature"]
        yield Update("generator", total, losses)

    def validation_step(self, batch: Batch) -> Validation:
        """Copies of the recordings through the latent, the KL divergence, and what the metrics say of other voices."""
        network = cast("VitsSVC", self.ema.get("generator", self.network))
        learned, frames = self.learned(batch), batch["frames"]
        out, spec = self._forward(network, batch, learned)
        copy = network.decode(out.z, frames, learned.inputs["f0"], seed=0)  # (B, T)
        made, wanted = mel_spectrogram(copy.float(), self.loss_mel), mel_of_linear(spec, self.loss_mel)
        errors: dict[str, list[float]] = {"mel": [], "kl": []}
        for item, count in enumerate(frames.tolist()):
            one = slice(item, item + 1)
            kl = kl_loss(out.z_p[one], out.logs_q[one], out.m_p[one], out.logs_p[one], out.mask[one])
            errors["mel"].append(float((made[item, :, :count] - wanted[item, :, :count]).abs().mean()))
            errors["kl"].append(float(kl) / count)
        return self.validated(network, batch, dict(errors), made)

    def _forward(self, network: "VitsSVC", batch: Batch, learned: Learned) -> tuple[VitsSVCOutput, Tensor]:
        """The training pass, and the linear spectrograms (B, n_fft / 2 + 1, N)."""
        spec = linear_spectrogram(batch["wave"], self.mel, batch["lengths"])
        return network(**learned.inputs, spec=spec), spec

    def _slice(self, wave: Tensor, out: VitsSVCOutput, frames: int) -> Tensor:
        """(B, T) -> the samples (B, 1, S * hop) that the decoded slices stand for, 0 after the end of an item."""
        hop = self.mel.hop_length
        padded = F.pad(wave[:, None], (0, max(0, frames * hop - wave.shape[1])))
        return slice_frames(padded, out.starts * hop, out.wave.shape[2])

    def _mel_distance(self, out: VitsSVCOutput, spec: Tensor) -> Tensor:
        """Mean absolute difference of the mels of the decoded and the recorded slices, (B)."""
        made = mel_spectrogram(out.wave[:, 0].float(), self.loss_mel)
        recorded = slice_frames(spec, out.starts, self.network.config.segment)
        made = made[..., : recorded.shape[2]]  # centred frames are one more
        return (made - mel_of_linear(recorded, self.loss_mel)).abs().mean((1, 2))
