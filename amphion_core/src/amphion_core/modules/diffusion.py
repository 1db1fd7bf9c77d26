"""Diffusion with the samplers of diffusers: the noise of the training, and how noise becomes data in some steps.

Ho, Jain, Abbeel: "Denoising Diffusion Probabilistic Models", arXiv:2006.11239 (DDPM). Song, Meng, Ermon:
arXiv:2010.02502 (DDIM). Liu et al.: arXiv:2202.09778 (PNDM). Lu et al.: arXiv:2211.01095 (DPM-Solver++). Salimans, Ho:
arXiv:2202.00512 (v-prediction). Data is (B, ...), such as mels (B, F, N) or latents (B, C, F, N).
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.config import BaseConfig
from amphion_core.errors import DataError, MissingPackage
from amphion_core.recording import report_step

RUNGE_KUTTA = 4  # steps with which the published PNDM begins

Sampler = Literal["ddpm", "ddim", "pndm", "dpm_solver"]

# Where a sampler begins and ends among the training steps, as diffusers names it.
_LAST_STEP = {"set_alpha_to_one": False, "steps_offset": 1}
_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {}),
    "ddim": ("DDIMScheduler", {"clip_sample": False, **_LAST_STEP}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True, **_LAST_STEP}),
    "dpm_solver": ("DPMSolverMultistepScheduler", {}),
}


_REPORTED = {"epsilon": "noise", "v_prediction": "velocity", "sample": "sample"}  # what a page calls a prediction


class Diffusion(BaseConfig):
    """The noise of the training, what the network predicts, and what limits a sample."""

    steps: int = Field(default=1000, gt=1, le=100_000, description="diffusion steps in training")
    first_noise: float = Field(default=1e-4, gt=0, lt=1, description="variance of the noise that step 1 adds")
    last_noise: float = Field(default=0.02, gt=0, lt=1, description="variance of the noise that the last step adds")
    schedule: Literal["linear", "scaled_linear"] = Field(
        default="linear", description="linear: the variance grows evenly; scaled_linear: its square root does"
    )
    prediction: Literal["epsilon", "v_prediction", "sample"] = Field(
        default="epsilon",
        description="what the network predicts: epsilon: the noise; v_prediction: the velocity between noise and data; "
        "sample: the data, which a network with a rich condition learns in the fewest steps",
    )
    clip: Literal["never", "final", "every_step"] = Field(
        default="final",
        description="when a sample is limited to -1 to 1. never: for latents; every_step: as Amphion v0.1 does, with "
        "the settings of its samplers; this disturbs samplers that combine several steps",
    )

    def levels(self) -> Tensor:
        """The share of the clean signal's power after each training step, (steps,): alpha-bar in the papers."""
        if self.schedule == "linear":
            noises = torch.linspace(self.first_noise, self.last_noise, self.steps, dtype=torch.float32)
        else:
            ends = self.first_noise**0.5, self.last_noise**0.5
            noises = torch.linspace(*ends, self.steps, dtype=torch.float32).square()
        return torch.cumprod(1 - noises, 0)

    def with_noise(self, clean: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """Data and noise (B, ...) -> the data as it is after the training steps ``step`` (B), counted from 0."""
        level = self._level(clean, step)
        return level.sqrt() * clean + (1 - level).sqrt() * noise

    def wanted(self, clean: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """What the network should predict after the steps ``step`` (B) of the training, (B, ...)."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "sample":
            return clean
        level = self._level(clean, step)
        return level.sqrt() * noise - (1 - level).sqrt() * clean

    def _level(self, data: Tensor, step: Tensor) -> Tensor:
        return self.levels().to(data.device)[step].view(-1, *[1] * (data.ndim - 1))


def scheduler(name: Sampler, diffusion: Diffusion, steps: int, device: torch.device | str = "cpu") -> Any:
    """A scheduler of diffusers with ``steps`` steps of the training's ``diffusion``. Raises MissingPackage, DataError.

    The number of evaluations of the network is ``steps``, and one more with "pndm"; or nine more, for Runge-Kutta steps
    at the beginning, where the samples are clipped at every step.
    """
    try:
        import diffusers
    except ImportError as error:
        raise MissingPackage(
            "the package diffusers has the samplers of diffusion models, and it is not installed",
            hint='pip install "amphion-core[diffusion]"',
        ) from error
    most = diffusion.steps - (name == "dpm_solver")  # which needs steps that all differ
    if steps > most:
        raise DataError(
            f"{steps} steps of {name} were asked for, and {most} are possible after a training with {diffusion.steps}",
            hint=f"choose at most {most} steps; 50 are usual",
        )
    if name == "pndm" and diffusion.prediction == "sample":
        raise DataError(
            "pndm cannot sample from a network that predicts the data itself",
            hint="choose the sampler ddpm, ddim or dpm_solver",
        )
    kind, settings = _SETTINGS[name]
    if diffusion.clip == "every_step":
        settings = {}  # those of diffusers, which Amphion v0.1 does not change
        if name == "pndm" and steps < RUNGE_KUTTA:
            raise DataError(
                f"{steps} steps of pndm were asked for, and its first {RUNGE_KUTTA} are Runge-Kutta steps",
                hint=f"choose at least {RUNGE_KUTTA} steps, or another sampler",
            )
    if name == "ddpm":
        settings = {"clip_sample": diffusion.clip != "never"}  # its estimates of the clean data
    if steps == diffusion.steps and "steps_offset" in settings:
        settings = settings | {"steps_offset": 0}  # the offset would lead behind the last training step
    found = getattr(diffusers, kind)(
        num_train_timesteps=diffusion.steps, beta_start=diffusion.first_noise, beta_end=diffusion.last_noise,
        beta_schedule=diffusion.schedule, prediction_type=diffusion.prediction, **settings,
    )  # fmt: skip
    with warnings.catch_warnings():  # of numpy, about how diffusers makes an array of a tensor
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        found.set_timesteps(steps, device=device)
    return found


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    *,
    sampler: Sampler,
    steps: int,
    diffusion: Diffusion,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    start: Tensor | None = None,
    strength: float = 1.0,
    kept: Tensor | None = None,
) -> Tensor:
    """Noise (B, ...) -> data (B, ...). ``predict`` takes noisy data and the training step (B), and predicts as trained.

    ``generator``, one or one for each item, draws the noise that "ddpm" adds in each step; other samplers add none.

    With ``start``, data (B, ...), only the last part of the steps is made, the share ``strength`` of them, at least
    one; they begin with this data and the noise of their first step (Meng et al.: "SDEdit", arXiv:2108.01073). Where
    the mask ``kept`` is True, the data stays that of ``start``: before each step it is put there with the noise of that
    step (Avrahami et al.: "Blended Latent Diffusion", arXiv:2206.02779). Errors as `scheduler`.
    """
    source = scheduler(sampler, diffusion, steps, noise.device)
    extra = {"generator": generator} if sampler == "ddpm" else {}
    timesteps = source.timesteps
    x = noise * source.init_noise_sigma
    if start is not None and strength < 1:
        timesteps = _last_steps(source, sampler, steps, strength)
        x = diffusion.with_noise(start, noise, timesteps[0].expand(len(noise)))
    for step in timesteps:
        if start is not None and kept is not None:
            x = torch.where(kept, diffusion.with_noise(start, noise, step.expand(len(x))), x)
        found = predict(source.scale_model_input(x, step), step.expand(len(x)))
        x = source.step(found, step, x, **extra).prev_sample
        if diffusion.clip == "every_step":
            x = x.clamp(-1, 1)
        report_step(x, time=step, method=_REPORTED[diffusion.prediction])
    if start is not None and kept is not None:
        x = torch.where(kept, start, x)
    return x if diffusion.clip == "never" else x.clamp(-1, 1)


def _last_steps(source: Any, sampler: Sampler, steps: int, strength: float) -> Tensor:
    """The training steps of the last share ``strength`` of a sampler's ``steps`` steps."""
    own = torch.unique(source.timesteps).flip(0)  # "pndm" evaluates its second step twice
    first = min(len(own) - 1, steps - max(1, round(steps * strength)))
    if hasattr(source, "set_begin_index"):
        source.set_begin_index(first)
    own = own[first:]
    return torch.cat([own[:2], own[1:]]) if sampler == "pndm" and len(own) > 1 else own
