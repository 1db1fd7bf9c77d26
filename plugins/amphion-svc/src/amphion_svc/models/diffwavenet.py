"""DiffWaveNetSVC: a diffusion model that turns noise into the mel of another voice, guided by content and melody.

Zhang et al.: "Leveraging Content-based Features from Multiple Acoustic Models for Singing Voice Conversion",
arXiv:2310.11160; the denoiser is that of Liu et al.: "DiffSVC", arXiv:2105.13871. Layouts read: "amphion".
Deviations: a sample is limited to the range of mels at the end, and not after each step. DPM-Solver++ with 50 steps is
the default; the published code takes 1000 steps of PNDM, which begins with Runge-Kutta steps. For published weights the
field ``diffusion.clip`` is "every_step", so that the controls sampler=pndm and steps=1000 do what that code does.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import Precision, Synthesis
from amphion_core.config import BaseConfig, validate
from amphion_core.modules.diffusion import Diffusion, Sampler, sample
from amphion_core.modules.item_noise import generators
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_core.recording import steps_as_mels
from amphion_svc.models.conditioned import (
    MelConverter,
    MelConverterConfig,
    example_condition_inputs,
    example_conditions,
)
from amphion_svc.models.dilated_denoiser import DilatedDenoiser

SAMPLER: Sampler = "dpm_solver"
STEPS = 50


class DiffWaveNetSVC(MelConverter):
    """Features of a recording and a singer -> mel (B, F, N); ``forward`` predicts from a noisy mel."""

    class Config(MelConverterConfig):
        """The denoiser; the defaults are those of the published network of 31 M parameters."""

        channels: int = Field(default=384, gt=0, le=4096, description="channels of the residual layers")
        layers: int = Field(default=20, gt=0, le=200, description="residual layers with a dilated convolution each")
        cycle: int = Field(
            default=4, gt=0, le=16, description="layers in which the dilation doubles, before it is 1 again"
        )
        sinusoids: int = Field(default=128, gt=1, multiple_of=2, description="sinusoids that encode a diffusion step")
        hidden: int = Field(default=512, gt=0, description="channels of the layers that encode a diffusion step")
        diffusion: Diffusion = Field(default=Diffusion(), description="the noise of the training")

    class Controls(BaseConfig):
        """What a request may change."""

        sampler: Sampler | None = Field(default=None, description="how noise becomes a mel (dpm_solver)")
        steps: int | None = Field(
            default=None, ge=1, le=1000, description="evaluations of the network; more take longer and err less (50)"
        )

    config: Config
    layouts = ("amphion",)
    layouts_with_config = ("amphion",)

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage where a content feature needs a package."""
        super().__init__(config)
        self.denoiser = DilatedDenoiser(
            bands=config.mel.n_mels, condition=config.condition_channels, channels=config.channels,
            layers=config.layers, cycle=config.cycle, sinusoids=config.sinusoids, hidden=config.hidden,
        )  # fmt: skip

    @classmethod
    def example_config(cls) -> Config:
        """Eight bands, two singers, a mel in the role of the content, three layers, 64 training steps."""
        return cls.Config(
            **example_conditions(), condition_channels=8, channels=8, layers=3, cycle=2, sinusoids=8, hidden=8,
            diffusion=Diffusion(steps=64, last_noise=0.3),
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two items of 12 and 8 frames, scaled mels with noise, and their diffusion steps."""
        noisy = torch.linspace(-2, 2, 24 * self.config.mel.n_mels).sin().view(2, -1, 12)
        return example_condition_inputs(self) | {"noisy": noisy, "step": torch.tensor([1, 5])}

    def forward(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        f0: Tensor,
        noisy: Tensor,
        step: Tensor,
        *,
        counts: Mapping[str, Tensor] | None = None,
        offsets: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The arguments of `encode`, scaled noisy mels (B, F, N), training steps (B) -> the prediction (B, F, N).

        It is the noise, the velocity or the scaled mel, as `Diffusion.prediction` says.
        """
        condition, mask = self.encode(features, lengths, speaker, f0, counts=counts, offsets=offsets)
        return self.denoiser(noisy, step, condition, mask)

    @torch.no_grad()
    def convert(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        *,
        f0: Tensor | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Features by name, lengths (B), speaker (B), F0 (B, N) -> mel (B, F, N), 0 in frames after an item's own.

        Item b draws from ``seed + b``. Items are sampled one after another, because a sampler draws noise for all
        frames at once. Raises DataError without F0 or a feature, and for more steps than the training had;
        MissingPackage without diffusers.
        """
        if f0 is not None:
            f0 = f0[:, : int(lengths.max())]
        with self.autocast():
            condition, _ = self.encode(features, lengths, speaker, f0)
        return Synthesis(lengths, mel=self.generate(condition, lengths, seed=seed, controls=controls), f0=f0)

    def generate(self, condition: Tensor, lengths: Tensor, *, seed: int | None = None, controls: Any = None) -> Tensor:
        """Condition (B, C, N) with lengths (B) -> mel (B, F, N), 0 after an item's own frames. Errors as `convert`."""
        chosen = controls or self.Controls()
        made = condition.new_zeros(len(lengths), self.config.mel.n_mels, condition.shape[2], dtype=torch.float32)
        draws = generators(seed, len(lengths), condition.device)
        for row, part, count, draw in zip(made, condition, lengths.tolist(), draws, strict=True):
            with steps_as_mels(lambda x: self.unscaled(x.clamp(-1, 1)), self.config.mel):
                found = self._sample(part[None, :, :count], draw, chosen.sampler or SAMPLER, chosen.steps or STEPS)
            row[:, :count] = self.unscaled(found)[0]
        return made

    def _sample(self, condition: Tensor, draw: torch.Generator, sampler: Sampler, steps: int) -> Tensor:
        """Condition of one item (1, C, N) -> scaled mel (1, F, N)."""

        def predict(x: Tensor, step: Tensor) -> Tensor:
            with self.autocast():
                return self.denoiser(x, step, condition).float()

        noise = torch.randn(1, self.config.mel.n_mels, condition.shape[2], generator=draw, device=condition.device)
        return sample(predict, noise, sampler=sampler, steps=steps, diffusion=self.config.diffusion, generator=draw)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and on a CPU give the convolutions reordered weights."""
        super().for_inference(precision)
        if self.device.type == "cpu" and self.precision == "float32":
            pack_convolutions(self.denoiser)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint, its config, and the files ``singers``, ``mel_min`` and ``mel_max``.

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_svc.models.denoiser_layout import read_diffwavenet

        fields, tensors = read_diffwavenet(state, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
