"""Training of APNet and APNet2: losses of amplitudes, phases and spectra beside those of a GAN vocoder.

Ai and Ling: "APNet", arXiv:2305.07952, section III-D, with the weights of its authors' code. Du et al.: "APNet2",
arXiv:2311.11545, has another form of the phase losses and of the adversarial one; the recipe `apnet2` states both.
Deviations: none. The mel loss compares all bands up to half the sample rate. ``engine.compile`` compiles only the
discriminators here, because a compiled vocoder returns the wave and not its spectra.
"""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor

from amphion_core.api import Batch, DiscriminatorPart, ModelArchitecture, Update
from amphion_core.errors import RecipeError
from amphion_core.features.mel import hop_aligned_mel
from amphion_vocoders.models.amplitude_phase import AmplitudePhaseVocoder, Spectra
from amphion_vocoders.trainers.gan_vocoder import GANVocoderTrainer
from amphion_vocoders.trainers.spectral_losses import (
    PhaseForm,
    amplitude_loss,
    consistency_loss,
    part_losses,
    phase_losses,
)


class APNetTrainer(GANVocoderTrainer):
    """Each step updates the discriminators, and then both branches with the updated discriminators."""

    class Config(GANVocoderTrainer.Config):
        """The losses and their weights; the defaults are APNet's."""

        amplitude_weight: float = Field(default=45.0, ge=0, le=1e6, description="weight of the amplitude loss")
        phase_weight: float = Field(
            default=100.0, ge=0, le=1e6,
            description="weight of the three phase losses: phase, group delay, difference over time",
        )  # fmt: skip
        phase_form: PhaseForm = Field(
            default="cosine", description="form of the phase losses; cosine: APNet's; absolute: APNet2's"
        )
        spectrum_weight: float = Field(
            default=20.0, ge=0, le=1e6, description="weight of the consistency loss, and of the losses of both parts"
        )
        part_weight: float = Field(
            default=2.25, ge=0, le=1e6,
            description="further weight of the losses of the real and of the imaginary part",
        )  # fmt: skip

    config: Config
    model: AmplitudePhaseVocoder
    example_model = "vocoder/apnet2"

    @classmethod
    def example_config(cls) -> Config:
        """One small discriminator."""
        return cls.Config(discriminators=(DiscriminatorPart.named("discriminator/mpd", channels=2, periods=(2, 3)),))

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        if not isinstance(model, AmplitudePhaseVocoder):
            raise RecipeError(
                f"the trainer apnet cannot train {type(model).__name__}: it trains vocoder/apnet and vocoder/apnet2",
                hint="amphion list trainers",
            )
        super().__init__(config, model=model)

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave`` (B, T) -> the discriminator's update, then the generator's."""
        mel = hop_aligned_mel(batch["wave"], self.mel)  # (B, F, N)
        made = self.model.spectra(mel)
        fake = self.model.wave_of(made)  # (B, 1, N * hop)
        real = batch["wave"][:, : fake.shape[2]]
        yield from self._discriminator_update(real[:, None], fake, batch, step)
        total, losses = self._generator_losses(real[:, None], fake, batch, step)
        items = batch.totals["items"]
        spectral = {name: loss.sum() / items for name, loss in self._spectral_losses(made, real, fake[:, 0]).items()}
        phase = spectral["phase"] + spectral["group_delay"] + spectral["time_difference"]
        parts = spectral["real"] + spectral["imaginary"]
        total = total + self.config.amplitude_weight * spectral["amplitude"] + self.config.phase_weight * phase
        total = total + self.config.spectrum_weight * (spectral["consistency"] + self.config.part_weight * parts)
        yield Update("generator", total, losses | spectral)

    def _spectral_losses(self, made: Spectra, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Predicted spectra, recordings and copies (B, T) -> the losses of each item, without their weights."""
        frames = made.phase.shape[2]
        recorded = Spectra.of(self.model.complex_spectra(real, frames))
        phase, group_delay, time_difference = phase_losses(made.phase, recorded.phase, self.config.phase_form)
        real_part, imaginary_part = part_losses(made, recorded)
        return {
            "amplitude": amplitude_loss(made, recorded),
            "phase": phase,
            "group_delay": group_delay,
            "time_difference": time_difference,
            "consistency": consistency_loss(made, self.model.complex_spectra(fake, frames)),
            "real": real_part,
            "imaginary": imaginary_part,
        }
