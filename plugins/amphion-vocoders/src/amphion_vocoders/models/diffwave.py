"""DiffWave: a diffusion model that turns noise into a waveform step by step, guided by a mel spectrogram.

Kong, Ping, Huang, Zhao, Catanzaro: "DiffWave: A Versatile Diffusion Model for Audio Synthesis", arXiv:2009.09761.
Section numbers refer to it. Layouts read: "lmnt" (the public implementation) and "amphion" (Amphion v0.1).
Deviations: as in the public implementation, samples are limited to [-1, 1] after each step, and the mel is upsampled
with a leaky ReLU of slope 0.4. ``vocode`` has the schedule of 6 steps by default, because 50 take eight times as long.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Mel, MelConfig, Precision, Vocoder
from amphion_core.config import validate
from amphion_core.draws import random_generator
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_vocoders.models.mel_input import check_mel

SLOPE = 0.4  # of the leaky ReLU behind each transposed convolution
FREQUENCIES = 64  # of the sinusoids that encode a diffusion step: section 3.1
EMBEDDING = 512  # channels of the encoded step
FAST = (1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5)  # noise levels of the published schedule of 6 steps, appendix B


@dataclass(frozen=True, slots=True)
class ReverseStep:
    """One step towards the clean signal: x <- factor * (x - share * predicted noise) + deviation * new noise."""

    step: float  # the diffusion step that the network is given
    factor: float
    share: float
    deviation: float


class DiffWave(Vocoder):
    """Mel (B, F, N) and noise -> wave (B, T), T = N * mel.hop_length; ``forward`` predicts the noise in a wave."""

    class Config(BaseConfig):
        """The defaults are those of the published weights: 2.62 M parameters at 22.05 kHz."""

        mel: Mel = Field(
            default=MelConfig.preset("diffwave_22k_80"),
            description="mel convention: bands F, hop in samples, rate in Hz",
        )
        layers: int = Field(default=30, gt=0, le=200, description="residual layers with a dilated convolution each")
        channels: int = Field(default=64, gt=0, le=4096, description="channels of the residual layers")
        cycle: int = Field(
            default=10, gt=0, le=16, description="layers in which the dilation doubles, before it is 1 again"
        )
        upsample_rates: tuple[int, int] = Field(
            default=(16, 16), description="factors of the two transposed convolutions of the mel; even"
        )
        steps: int = Field(default=50, gt=1, le=10_000, description="diffusion steps in training")
        first_noise: float = Field(default=1e-4, gt=0, lt=1, description="variance of the noise that step 1 adds")
        last_noise: float = Field(default=0.05, gt=0, lt=1, description="variance of the noise that the last step adds")

        @model_validator(mode="after")
        def _rates_give_the_hop(self) -> Self:
            if math.prod(self.upsample_rates) != self.mel.hop_length:
                raise ValueError(
                    f"upsample_rates: product {math.prod(self.upsample_rates)} is not mel.hop_length "
                    f"{self.mel.hop_length}"
                )
            if odd := [rate for rate in self.upsample_rates if rate < 2 or rate % 2]:
                raise ValueError(f"upsample_rates: {odd[0]} is not an even number above 0")
            return self

        @property
        def noises(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
            """The variance that each training step adds, beta in the paper."""
            return np.linspace(self.first_noise, self.last_noise, self.steps)

        @property
        def levels(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
            """The share of the clean signal's power after each training step, alpha-bar in the paper; it falls."""
            return np.cumprod(1 - self.noises)

    class Controls(BaseConfig):
        """Of a request."""

        schedule: Literal["fast", "full"] = Field(
            default="fast",
            description="fast: the published schedule of 6 steps; full: every step of the training (50 as published)",
        )

    config: Config
    layouts = ("lmnt", "amphion")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        channels, bands = config.channels, config.mel.n_mels
        # Parameters have the names of the published checkpoints.
        self.input_projection = _convolution(1, channels)
        self.diffusion_embedding = _StepEmbedding()
        self.spectrogram_upsampler = _Upsampler(config.upsample_rates)
        self.residual_layers = nn.ModuleList(
            _Layer(bands, channels, 2 ** (layer % config.cycle)) for layer in range(config.layers)
        )
        self.skip_projection = _convolution(channels, channels)
        self.output_projection = nn.Conv1d(channels, 1, 1)
        nn.init.zeros_(self.output_projection.weight)  # an untrained network predicts nearly no noise

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 3 layers of 8 channels, 6 training steps."""
        mel = MelConfig.preset("diffwave_22k_80").replace(n_mels=4, hop_length=16, n_fft=64, win_length=64)
        return cls.Config(mel=mel, layers=3, channels=8, cycle=2, upsample_rates=(4, 4), steps=6)

    def example_inputs(self) -> dict[str, Any]:
        """Four frames, their noisy audio, and its diffusion step."""
        mel = self.config.mel
        wave = torch.linspace(-1, 1, 4 * mel.hop_length)[None].sin()
        return {"wave": wave, "mel": torch.zeros(1, mel.n_mels, 4), "step": torch.tensor([1])}

    def forward(self, wave: Tensor, mel: Tensor, step: Tensor) -> Tensor:
        """Noisy audio (B, T), its mel (B, F, N), T = N * hop, diffusion steps (B) -> the predicted noise (B, 1, T).

        Steps count from 0 and may lie between two training steps.
        """
        return self._predict(wave, self.spectrogram_upsampler(mel), step)

    def _predict(self, wave: Tensor, condition: Tensor, step: Tensor) -> Tensor:
        """`forward` with the mel at the rate of the audio, (B, F, T)."""
        x = F.relu(self.input_projection(wave[:, None]))  # (B, channels, T)
        embedding = self.diffusion_embedding(step)  # (B, 512)
        total: Tensor | None = None
        for layer in self.residual_layers:
            x, skip = layer(x, embedding, condition)
            total = skip if total is None else total + skip
        assert total is not None  # there is at least one layer
        return self.output_projection(F.relu(self.skip_projection(total / math.sqrt(len(self.residual_layers)))))

    @torch.no_grad()
    def vocode(
        self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None, controls: Controls | None = None
    ) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]; ``seed`` draws the noise, and ``f0`` is not used.

        Raises AudioError for another shape and for values that are not finite.
        """
        check_mel(mel, self.config.mel.n_mels)
        samples = mel.shape[2] * self.config.mel.hop_length
        if not samples:
            return mel.new_zeros(len(mel), 0)
        generator = random_generator(seed, mel.device)
        with self.autocast():
            condition = self.spectrogram_upsampler(mel)
        schedule = self.schedule((controls or self.Controls()).schedule)
        x = torch.randn(len(mel), samples, generator=generator, device=mel.device)
        for index in reversed(range(len(schedule))):
            step = torch.full((len(mel),), schedule[index].step, device=mel.device)
            with self.autocast():
                noise = self._predict(x, condition, step)[:, 0].float()
            x = schedule[index].factor * (x - schedule[index].share * noise)
            if index:
                x = x + schedule[index].deviation * torch.randn(x.shape, generator=generator, device=x.device)
            x = x.clamp(-1, 1)
        return x

    def schedule(self, kind: Literal["fast", "full"]) -> list[ReverseStep]:
        """The reverse steps, the one nearest to the clean signal first: algorithm 2, and section 3.2 for "fast".

        A noise level between those of two training steps becomes a fractional step by linear interpolation.
        """
        noises = self.config.noises if kind == "full" else np.array(FAST)
        levels = np.cumprod(1 - noises)
        before = np.concatenate([[1.0], levels[:-1]])
        training = np.sqrt(self.config.levels)[::-1]
        steps = np.interp(np.sqrt(levels), training, np.arange(self.config.steps)[::-1])
        deviations = np.sqrt((1 - before) / (1 - levels) * noises)
        columns = (steps, 1 / np.sqrt(1 - noises), noises / np.sqrt(1 - levels), deviations)
        return [ReverseStep(*row) for row in np.stack(columns, 1).tolist()]

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and on a CPU give the convolutions reordered weights."""
        super().for_inference(precision)
        if self.device.type == "cpu" and self.precision == "float32":
            for layer in self.residual_layers:
                pack_convolutions(layer)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Sizes that its tensors show are taken from them.

        Raises WeightsError for another checkpoint, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.diffwave_layouts import read

        fields, tensors = read(state, config or {}, layout)
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors


class _StepEmbedding(nn.Module):
    """The diffusion step as sinusoids and two layers: section 3.1."""

    def __init__(self) -> None:
        super().__init__()
        self.projection1 = nn.Linear(2 * FREQUENCIES, EMBEDDING)
        self.projection2 = nn.Linear(EMBEDDING, EMBEDDING)

    def forward(self, step: Tensor) -> Tensor:
        """(B) -> (B, 512). Between two whole steps, their sinusoids are interpolated: section 3.2."""
        low = step.floor() if step.is_floating_point() else step
        sinusoids = _sinusoids(low)
        if step.is_floating_point():
            sinusoids = torch.lerp(sinusoids, _sinusoids(step.ceil()), (step - low)[:, None])
        return F.silu(self.projection2(F.silu(self.projection1(sinusoids))))


def _sinusoids(step: Tensor) -> Tensor:
    """(B) -> (B, 128): sine and cosine of step * 10^(4 k / 63), in float32 like the published table."""
    frequencies = 10.0 ** (torch.arange(FREQUENCIES, device=step.device) * 4.0 / (FREQUENCIES - 1))
    angles = step[:, None].float() * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


class _Upsampler(nn.Module):
    """Two transposed convolutions that stretch the mel to the rate of the audio: section 3.3."""

    def __init__(self, rates: tuple[int, int]) -> None:
        super().__init__()
        self.conv1, self.conv2 = (
            nn.ConvTranspose2d(1, 1, (3, 2 * rate), stride=(1, rate), padding=(1, rate // 2)) for rate in rates
        )

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, F, T)."""
        x = F.leaky_relu(self.conv1(mel[:, None]), SLOPE)
        return F.leaky_relu(self.conv2(x), SLOPE)[:, 0]


class _Layer(nn.Module):
    """A residual layer with a gated dilated convolution: figure 2a."""

    def __init__(self, bands: int, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilated_conv = _convolution(channels, 2 * channels, 3, dilation)
        self.diffusion_projection = nn.Linear(EMBEDDING, channels)
        self.conditioner_projection = _convolution(bands, 2 * channels)
        self.output_projection = _convolution(channels, 2 * channels)

    def forward(self, x: Tensor, embedding: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, T), step (B, 512), mel (B, F, T) -> the next layer's input and the skip connection, (B, C, T) each."""
        y = self.dilated_conv(x + self.diffusion_projection(embedding)[..., None])
        gate, signal = (y + self.conditioner_projection(condition)).chunk(2, 1)
        residual, skip = self.output_projection(torch.sigmoid(gate) * torch.tanh(signal)).chunk(2, 1)
        return (x + residual) / math.sqrt(2), skip


def _convolution(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Conv1d:
    """A convolution with the initialisation of the published code: normal, of unit gain before a ReLU."""
    layer = nn.Conv1d(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.kaiming_normal_(layer.weight)
    return layer
