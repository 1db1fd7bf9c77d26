"""Training of DiffCoMoSVC: first a teacher, a diffusion model; then a student that is distilled from it.

Lu et al.: "CoMoSVC", arXiv:2401.01792; Ye et al.: "CoMoSpeech", arXiv:2305.06908; Karras et al., arXiv:2206.00364,
section 5; Song et al.: "Consistency Models", arXiv:2303.01469, algorithm 2.
Deviations from the published training of Amphion: the prior loss is divided by the number of bands once, and not twice;
the average of the student moves after the student's step.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn

import amphion_core as amphion
from amphion_core.api import Batch, ModelArchitecture, Update, Validation
from amphion_core.errors import RecipeError
from amphion_svc.losses import absolute_distance, structural_distance
from amphion_svc.models.consistency import Decoder, Solver, solver_step
from amphion_svc.trainers.converter_trainer import ConverterTrainer, Learned
from amphion_svc.trainers.frame_noise import frame_noise, squared_distance

if TYPE_CHECKING:
    from amphion_svc.models.diffcomo import DiffCoMoSVC

STUDENT = "student"


class DiffCoMoTrainer(ConverterTrainer):
    """Trains a teacher; or, with a teacher's place, the decoder of a student, from the average of its last steps."""

    class Config(ConverterTrainer.Config):
        """The teacher, the noise, and the weights of the losses."""

        teacher: str | None = Field(
            default=None, description="run, weights folder or card of the teacher of a student; null: train a teacher"
        )
        prior_scale: float = Field(
            default=1.0,
            ge=0,
            le=1e6,
            description="weight of the prior loss of a teacher; the published training has 0.01",
        )
        fast_steps: int = Field(
            default=0, ge=0, le=2**31 - 1, description="first steps of a teacher, which train its encoder alone"
        )
        noise_mean: float = Field(default=-1.2, description="mean of ln(sigma) of the noise that a teacher sees")
        noise_deviation: float = Field(default=1.2, gt=0, description="deviation of ln(sigma) of that noise")
        times: int = Field(
            default=50, ge=2, le=1000, description="levels of noise of the distillation; a student learns their steps"
        )
        solver: Solver = Field(default="heun", description="how the teacher goes from one level to the next")

    config: Config
    network: "DiffCoMoSVC"
    example_model = "svc/diffcomo"

    def __init__(self, config: Config, *, model: ModelArchitecture) -> None:
        """A student begins with the teacher's weights.

        Raises RecipeError for another model, for a teacher that does not fit, and for metrics that cannot be computed;
        WeightsError without the teacher's weights.
        """
        from amphion_svc.models.diffcomo import DiffCoMoSVC

        if not isinstance(model, DiffCoMoSVC):
            raise RecipeError(
                f"the trainer diffcomo_svc cannot train {type(model).__name__}: it trains svc/diffcomo",
                hint="amphion list trainers",
            )
        super().__init__(config, model=model)
        teacher = _teacher(config.teacher, model)
        self.teacher: Decoder | None = None
        if teacher is not None:
            model.load_state_dict(teacher.state_dict())
            self.teacher = teacher.decoder
        self.times = model.config.noise.times(config.times)
        self.higher_is_better = {"coarse" if teacher is None else "distance": False, **self.higher_is_better}
        self._averaged: list[DiffCoMoSVC] = []

    def networks(self) -> dict[str, nn.Module]:
        """The whole model; of a student, its decoder, whose other parts stay those of the teacher."""
        return {"model": self.network} if self.teacher is None else {STUDENT: self.network.decoder}

    def training_step(self, batch: Batch, step: int) -> Iterator[Update]:
        """``wave``, ``f0``, the content features and ``speaker`` or ``voice`` -> the update of model or student."""
        learned = self.learned(batch)
        wanted = self.network.scaled(learned.mel)
        values = batch.totals["frames"] * self.mel.n_mels
        if self.teacher is not None:
            loss = self._distillation(self.teacher, learned, wanted).sum() / values
            yield Update(STUDENT, loss, {"distance": loss.detach()})
            return
        coarse = self._coarse(self.network, learned)
        losses = {
            "similarity": structural_distance(coarse, wanted, learned.mask).sum() / values,
            "prior": prior_distance(coarse, wanted, learned.mask).sum() / values,
        }
        total = losses["similarity"] + self.config.prior_scale * losses["prior"]
        if step > self.config.fast_steps:
            draw = torch.randn(len(batch), device=wanted.device)
            sigma = (self.config.noise_mean + self.config.noise_deviation * draw).exp()
            noise = frame_noise(learned.lengths, wanted)
            found = denoising_distance(self.network.decoder, wanted, coarse, learned.mask, noise, sigma)
            losses["diffusion"] = found.sum() / values
            total = total + losses["diffusion"]
        yield Update("model", total, losses)

    def validation_step(self, batch: Batch) -> Validation:
        """The absolute error of mels made from noise with the default steps, in the units of the mel, and the metrics.

        The mels have the singer of the recording and the seed 0. Of a teacher also the error of the coarse mel, and of
        a student the distance that it learns, at a fixed level of noise.
        """
        network = self._network()
        learned = self.learned(batch)
        coarse = self._coarse(network, learned)
        made = network.generate(coarse, learned.mask, learned.lengths, seed=0)
        values = learned.lengths * self.mel.n_mels
        errors: dict[str, Sequence[float]] = {
            "mel": (absolute_distance(made, learned.mel, learned.mask) / values).tolist()
        }
        if self.teacher is None:
            found = absolute_distance(network.unscaled(coarse), learned.mel, learned.mask)
            errors["coarse"] = (found / values).tolist()
        else:
            middle = len(self.times) // 2
            sigma, to = (self.times[[index]].to(made.device).expand(len(batch)) for index in (middle, middle - 1))
            noise = frame_noise(learned.lengths, made, torch.Generator().manual_seed(0))
            wanted = network.scaled(learned.mel)
            found = distillation_distance(
                network.decoder, network.decoder, self.teacher, wanted, coarse, learned.mask,
                network.config.noise.noise(noise, coarse), sigma, to, self.config.solver,
            )  # fmt: skip
            errors["distance"] = (found / values).tolist()
        return self.validated(network, batch, errors, made)

    def _distillation(self, teacher: Decoder, learned: Learned, wanted: Tensor) -> Tensor:
        """The distance of student and average at neighbouring levels of noise, drawn at random: (B)."""
        if STUDENT not in self.ema:
            raise RecipeError(
                "a student learns from its own average, and the recipe has none", hint="engine.ema.student=0.95"
            )
        with torch.no_grad():
            coarse = self._coarse(self.network, learned)
        times = self.times.to(wanted.device)
        index = torch.randint(1, len(times), (len(wanted),), device=wanted.device)
        noise = self.network.config.noise.noise(frame_noise(learned.lengths, wanted), coarse)
        return distillation_distance(
            self.network.decoder, self.ema[STUDENT], teacher, wanted, coarse, learned.mask, noise, times[index],
            times[index - 1], self.config.solver,
        )  # fmt: skip

    @staticmethod
    def _coarse(network: "DiffCoMoSVC", learned: Learned) -> Tensor:
        condition, mask = network.encode(**learned.inputs)
        return network.encoder(condition, mask)

    def _network(self) -> "DiffCoMoSVC":
        """The model with its average, where the recipe asks for one."""
        if self.teacher is None:
            return cast("DiffCoMoSVC", self.ema.get("model", self.network))
        if STUDENT not in self.ema:
            return self.network
        if not self._averaged or self._averaged[0].decoder is not self.ema[STUDENT]:
            averaged = copy.copy(self.network)  # the same modules, except the decoder
            averaged._modules = {**self.network._modules, "decoder": self.ema[STUDENT]}
            self._averaged = [averaged]
        return self._averaged[0]


def prior_distance(coarse: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Minus the log density of mels (B, F, N) around coarse ones, of deviation 1, summed over valid frames: (B)."""
    density = ((wanted - coarse.float()).square() + math.log(2 * math.pi)) / 2
    return (density * mask).sum((1, 2))


def denoising_distance(
    decoder: Decoder, wanted: Tensor, coarse: Tensor, mask: Tensor, noise: Tensor, sigma: Tensor
) -> Tensor:
    """Weighted squared error of a denoised mel, summed over valid frames: (B). EDM, table 1, section 5.

    ``wanted``, ``coarse`` and ``noise``, of mean 0 and deviation 1, are (B, F, N), ``sigma`` is (B).
    """
    noise = decoder.noise.noise(noise, coarse)
    found = decoder(wanted + sigma[:, None, None] * noise, sigma, coarse, mask)
    return decoder.noise.loss_weight(sigma) * squared_distance(found, wanted, mask)


def distillation_distance(
    student: nn.Module,
    average: nn.Module,
    teacher: nn.Module,
    wanted: Tensor,
    coarse: Tensor,
    mask: Tensor,
    noise: Tensor,
    sigma: Tensor,
    to: Tensor,
    solver: Solver,
) -> Tensor:
    """Squared distance of the student at ``sigma`` (B) to its average at ``to`` (B), summed over valid frames: (B).

    The teacher brings a mel (B, F, N) with noise (B, F, N) from the one level to the other. Gradients reach the student
    alone. Consistency models, algorithm 2.
    """

    def denoise(x: Tensor, level: Tensor) -> Tensor:
        found: Tensor = teacher(x, level, coarse, mask)
        return found.float()

    noisy = wanted + sigma[:, None, None] * noise
    with torch.no_grad():
        target = average(solver_step(denoise, noisy, sigma, to, solver), to, coarse, mask).float()
    return squared_distance(student(noisy, sigma, coarse, mask), target, mask)


def _teacher(place: str | None, model: "DiffCoMoSVC") -> "DiffCoMoSVC | None":
    """The trained teacher at ``place``. Raises RecipeError where it does not fit ``model``."""
    stage = "teacher" if place is None else "student"
    if model.config.stage != stage:
        raise RecipeError(
            f"model.stage: a {stage} is trained {'without' if place is None else 'with'} trainer.teacher, and "
            f"the model is a {model.config.stage}",
            hint=f"model.stage={stage}, or trainer.teacher=PLACE for a student",
        )
    if place is None:
        return None
    from amphion_svc.models.diffcomo import DiffCoMoSVC

    found: Any = amphion.load(place)
    if not isinstance(found, DiffCoMoSVC) or found.config.stage != "teacher":
        raise RecipeError(
            f"trainer.teacher: {place} is no teacher of svc/diffcomo", hint="train one: amphion train diffcomo_svc"
        )
    mine, given = model.config.model_dump(), found.config.model_dump()
    if differing := [name for name in mine if name != "stage" and mine[name] != given[name]]:
        raise RecipeError(
            f"trainer.teacher: {place} has another {differing[0]} than the student"
            + (f", and {len(differing) - 1} other fields differ" if len(differing) > 1 else ""),
            hint="give the student the same model fields and the same corpus; the teacher's config.yaml states them",
        )
    return found
