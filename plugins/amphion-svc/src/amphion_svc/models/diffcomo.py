"""DiffCoMoSVC: a consistency model that makes the mel of another voice from noise in one step, or in a few.

Lu et al.: "CoMoSVC: Consistency Model-based Singing Voice Conversion", arXiv:2401.01792; Ye et al.: "CoMoSpeech",
arXiv:2305.06908. A teacher is trained first, a diffusion model; a student with the same networks is distilled from it.
Layouts read: "amphion". Deviations: as in Amphion v0.1, the decoder sees a coarse mel that an encoder makes.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.api import Precision, Synthesis
from amphion_core.config import BaseConfig, validate
from amphion_core.modules.item_noise import draw_noise, generators
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_core.recording import steps_as_mels
from amphion_svc.models.acoustic_encoder import Conformer
from amphion_svc.models.conditioned import (
    MelConverter,
    MelConverterConfig,
    example_condition_inputs,
    example_conditions,
)
from amphion_svc.models.consistency import Decoder, NoiseRange, sample_consistency, sample_edm
from amphion_svc.models.dilated_denoiser import DilatedDenoiser

STEPS = {"teacher": 18, "student": 1}


class DiffCoMoSVC(MelConverter):
    """Features of a recording and a singer -> mel (B, F, N); ``forward`` finds the clean mel in a noisy one."""

    class Config(MelConverterConfig):
        """Encoder and decoder; the defaults are the published sizes, 36.6 M parameters without the condition."""

        n_layers: int = Field(default=6, gt=0, le=100, description="transformer layers of the encoder")
        n_heads: int = Field(default=2, gt=0, description="attention heads of the encoder")
        filter_channels: int = Field(default=512, gt=0, description="channels inside the feed-forward layers")
        dropout: float = Field(default=0.1, ge=0, lt=1, description="share of values that training drops")
        channels: int = Field(default=384, gt=0, le=4096, description="channels of the decoder's residual layers")
        layers: int = Field(default=20, gt=0, le=200, description="residual layers of the decoder")
        cycle: int = Field(
            default=4, gt=0, le=16, description="layers in which the dilation doubles, before it is 1 again"
        )
        sinusoids: int = Field(default=128, gt=1, multiple_of=2, description="sinusoids that encode a noise level")
        hidden: int = Field(default=512, gt=0, description="channels of the layers that encode a noise level")
        noise: NoiseRange = Field(default=NoiseRange(), description="levels of noise, and scales of the decoder")
        stage: Literal["teacher", "student"] = Field(
            default="teacher", description="teacher: a diffusion model; student: a consistency model, for few steps"
        )

        @model_validator(mode="after")
        def _heads_divide(self) -> Self:
            if self.condition_channels % self.n_heads:
                raise ValueError(f"n_heads: {self.n_heads} does not divide {self.condition_channels} channels")
            return self

    class Controls(BaseConfig):
        """What a request may change."""

        steps: int | None = Field(
            default=None, ge=1, le=1000,
            description="steps from noise to mel (1 of a student, 18 of a teacher, which evaluates each step twice)",
        )  # fmt: skip

    config: Config
    layouts = ("amphion",)
    layouts_with_config = ("amphion",)

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage where a content feature needs a package."""
        super().__init__(config)
        c = config
        self.encoder = Conformer(
            c.condition_channels, c.filter_channels, c.n_heads, c.n_layers, c.mel.n_mels, c.dropout
        )  # fmt: skip
        denoiser = DilatedDenoiser(
            bands=c.mel.n_mels, condition=c.mel.n_mels, channels=c.channels, layers=c.layers, cycle=c.cycle,
            sinusoids=c.sinusoids, hidden=c.hidden,
        )  # fmt: skip
        self.decoder = Decoder(denoiser, config.noise)

    @classmethod
    def example_config(cls) -> Config:
        """Eight bands, two singers, a mel in the role of the content; an encoder of one layer, a decoder of three."""
        return cls.Config(
            **example_conditions(), condition_channels=8, n_layers=1, filter_channels=8, dropout=0.0, channels=8,
            layers=3, cycle=2, sinusoids=8, hidden=8,
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two items of 12 and 8 frames, scaled mels with noise, and the deviation of the noise."""
        noisy = torch.linspace(-2, 2, 24 * self.config.mel.n_mels).sin().view(2, -1, 12)
        return example_condition_inputs(self) | {"noisy": noisy, "sigma": torch.tensor([0.5, 1.5])}

    def forward(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        f0: Tensor,
        noisy: Tensor,
        sigma: Tensor,
        *,
        counts: Mapping[str, Tensor] | None = None,
        offsets: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The arguments of `encode`, scaled noisy mels (B, F, N), sigma of their noise (B) -> mels (B, F, N)."""
        condition, mask = self.encode(features, lengths, speaker, f0, counts=counts, offsets=offsets)
        return self.decoder(noisy, sigma, self.encoder(condition, mask), mask)

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

        A teacher is sampled by Heun's method, a student as a consistency model. Item b draws from ``seed + b``.
        Raises DataError without F0 or a feature.
        """
        if f0 is not None:
            f0 = f0[:, : int(lengths.max())]
        with self.autocast():
            condition, mask = self.encode(features, lengths, speaker, f0)
            coarse = self.encoder(condition, mask)
        made = self.generate(coarse, mask, lengths, seed=seed, controls=controls)
        return Synthesis(lengths, mel=made, f0=f0)

    def generate(
        self, coarse: Tensor, mask: Tensor, lengths: Tensor, *, seed: int | None = None, controls: Any = None
    ) -> Tensor:
        """Scaled coarse mel (B, F, N), its mask (B, 1, N) and lengths (B) -> mel (B, F, N), 0 where the mask is 0."""
        steps = (controls or self.Controls()).steps or STEPS[self.config.stage]
        draws, noise = generators(seed, len(lengths), coarse.device), self.config.noise

        def draw() -> Tensor:
            drawn = draw_noise(draws, self.config.mel.n_mels, lengths.tolist(), coarse.shape[2])
            return noise.noise(drawn, coarse.float())

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            with self.autocast():
                return self.decoder(x, sigma, coarse, mask).float()

        with steps_as_mels(lambda x: self.unscaled(x.clamp(-1, 1)), self.config.mel):
            if self.config.stage == "student":
                found = sample_consistency(denoise, draw, noise.times(steps + 1))
            else:
                found = sample_edm(denoise, draw(), noise.times(steps), "heun")
        return self.unscaled(found) * mask

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and on a CPU give the convolutions reordered weights."""
        super().for_inference(precision)
        if self.device.type == "cpu" and self.precision == "float32":
            pack_convolutions(self.decoder)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published checkpoint, its config, and the files ``singers``, ``mel_min`` and ``mel_max``.

        The average of a student is read where there is one, else the teacher. Raises WeightsError for a checkpoint or
        config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_svc.models.denoiser_layout import read_diffcomo

        fields, tensors = read_diffcomo(state, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
