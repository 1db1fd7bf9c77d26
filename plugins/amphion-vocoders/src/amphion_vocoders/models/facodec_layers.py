"""Convolutions of FACodec: residual units, the encoder of waves, and the decoder to waves.

Ju et al.: "NaturalSpeech 3: Zero-Shot Speech Synthesis with Factorized Codec and Diffusion Models", arXiv:2403.03100,
section 3.2. The activation is BigVGAN's: SnakeBeta on a logarithmic scale, without aliasing. Parameters have the names
of the published checkpoints.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from amphion_vocoders.models.antialiasing import REACH, AntiAliasedSnake
from amphion_vocoders.models.initial_weights import variance_preserving, zero_biases

DILATIONS = (1, 3, 9)  # of the residual units of a stage
LOUDNESS = 0.1  # deviation of the decoder's wave before training, as speech has it; its input is normalised to 1


class ResidualUnit(nn.Module):
    """x + f(x): activation, dilated convolution of 7 samples, activation, convolution of one sample."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            snake(channels),
            weight_norm(nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation)),
            snake(channels),
            weight_norm(nn.Conv1d(channels, channels, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return x + self.block(x)


class WaveEncoder(nn.Module):
    """Wave (B, 1, T) -> latents (B, C, N), N = T / product of the strides. T is a multiple of that product."""

    def __init__(self, channels: int, strides: Sequence[int], dim: int) -> None:
        super().__init__()
        self.strides = tuple(strides)
        layers: list[nn.Module] = [variance_preserving(nn.Conv1d(1, channels, 7, padding=3))]
        for stride in strides:
            layers.append(_Downsampling(channels, stride))
            channels *= 2
        layers += [snake(channels), variance_preserving(nn.Conv1d(channels, dim, 3, padding=1))]
        self.block = nn.Sequential(*layers)
        zero_biases(self)

    @property
    def reach(self) -> int:
        """Frames on either side of a frame that it depends on, at most."""
        samples, step = 3.0, 1
        for stride in self.strides:
            samples += step * (_units_reach() + REACH + 2 * stride)
            step *= stride
        return int(samples // step) + REACH + 2

    def forward(self, wave: Tensor) -> Tensor:
        """(B, 1, T) -> (B, C, N)."""
        return self.block(wave)


class WaveDecoder(nn.Sequential):
    """Latents (B, C, N) -> wave (B, 1, T) in [-1, 1], T = N * product of the strides."""

    def __init__(self, dim: int, channels: int, strides: Sequence[int]) -> None:
        layers: list[nn.Module] = [variance_preserving(nn.Conv1d(dim, channels, 7, padding=3))]
        for stride in strides:
            layers.append(_Upsampling(channels, stride))
            channels //= 2
        last = variance_preserving(nn.Conv1d(channels, 1, 7, padding=3), gain=LOUDNESS)
        super().__init__(*layers, snake(channels), last, nn.Tanh())
        zero_biases(self)
        self.strides = tuple(strides)

    @property
    def reach(self) -> int:
        """Frames on either side of a sample that it depends on, at most."""
        frames, rate = 3.0, 1
        for stride in self.strides:
            frames += (REACH + 2) / rate
            rate *= stride
            frames += _units_reach() / rate
        return int(frames + (REACH + 3) / rate) + 1


class _Downsampling(nn.Module):
    """Residual units, and a strided convolution to twice the channels."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        down = nn.Conv1d(channels, 2 * channels, 2 * stride, stride, padding=-(-stride // 2))
        self.block = nn.Sequential(*_units(channels), snake(channels), variance_preserving(down))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, 2 C, T / stride)."""
        return self.block(x)


class _Upsampling(nn.Module):
    """A transposed convolution to half the channels, and residual units."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        half = channels // 2
        up = nn.ConvTranspose1d(channels, half, 2 * stride, stride, -(-stride // 2), output_padding=stride % 2)
        self.block = nn.Sequential(snake(channels), variance_preserving(up), *_units(half))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C / 2, N * stride)."""
        return self.block(x)


def snake(channels: int) -> AntiAliasedSnake:
    """The activation of every layer."""
    return AntiAliasedSnake(channels, beta=True, log_scale=True)


def _units(channels: int) -> list[nn.Module]:
    return [ResidualUnit(channels, dilation) for dilation in DILATIONS]


def _units_reach() -> int:
    """Samples on either side that the residual units of a stage depend on."""
    return sum(2 * REACH + 3 * dilation for dilation in DILATIONS)
