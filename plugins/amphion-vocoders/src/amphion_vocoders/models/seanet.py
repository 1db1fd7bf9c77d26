"""SEANet: the convolutional encoder and decoder of EnCodec and SpeechTokenizer, also piece by piece.

Defossez et al.: "High Fidelity Neural Audio Compression", arXiv:2210.13438, section 3.1; the network is that of
Tagliasacchi et al.: "SEANet", arXiv:2009.02095, with an LSTM. Convolutions mirror the signal at its beginning and end.
Causal ones see no later input, except that the mirror at the beginning repeats the first samples.

Every layer has ``forward``, for a whole signal, and ``step``, for the next piece of one. ``step`` keeps what it needs
of earlier pieces in ``memory``, a dict that belongs to one signal and starts empty. Only causal layers have steps.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig
from amphion_core.errors import DataError
from amphion_core.modules.padding import reflect
from amphion_vocoders.models.initial_weights import variance_preserving

Memory = dict[nn.Module, Any]
"""What the layers of one network keep of one signal."""


class SEANetConfig(BaseConfig):
    """Sizes of the network and of its codebooks. The defaults are EnCodec's at 24 kHz."""

    sample_rate: int = Field(default=24000, gt=0, le=768000, description="rate of the audio, Hz")
    filters: int = Field(default=32, gt=1, le=1024, multiple_of=2, description="channels of the first convolution")
    dim: int = Field(default=128, gt=0, le=8192, description="channels of the latents and of the codebooks")
    strides: tuple[int, ...] = Field(
        default=(8, 5, 4, 2), min_length=1, max_length=8,
        description="factors of the decoder's stages; the encoder has them in reverse; hop_length is their product",
    )  # fmt: skip
    kernel: int = Field(default=7, gt=0, le=63, description="kernel of the first and last convolutions")
    residual_kernel: int = Field(default=3, gt=0, le=63, description="kernel inside a residual unit")
    residual_layers: int = Field(default=1, ge=0, le=16, description="residual units of each stage")
    dilation_base: int = Field(default=2, gt=0, le=16, description="dilation of residual unit j: this to the power j")
    lstm_layers: int = Field(default=2, ge=0, le=16, description="LSTM layers of the encoder and of the decoder")
    codebooks: int = Field(default=32, gt=0, le=256, description="number of codebooks K")
    codebook_size: int = Field(default=1024, gt=1, le=1 << 16, description="entries of each codebook")
    kmeans: bool = Field(
        default=True, description="whether a training begins with entries from k-means of its first vectors"
    )
    decay: float = Field(default=0.99, gt=0, lt=1, description="how slowly the entries follow the vectors")
    dead_below: float = Field(
        default=2.0, ge=0,
        description="entries that fewer vectors of a step choose, on average, are replaced in training; 0: none",
    )  # fmt: skip
    quantizer_dropout: float = Field(
        default=0.5, ge=0, le=1,
        description="how often a training item uses only the first codebooks, their number drawn evenly",
    )  # fmt: skip


class Convolution(nn.Module):
    """A convolution with weight norm: (B, C, T) -> (B, C', ceil(T / stride))."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, dilation: int = 1, causal: bool, gain: float = 1
    ) -> None:
        super().__init__()
        self.conv = variance_preserving(nn.Conv1d(channels, out, kernel, stride, dilation=dilation), gain=gain)
        self.stride, self.causal = stride, causal
        self.around = (kernel - 1) * dilation + 1 - stride  # samples of padding

    def forward(self, x: Tensor) -> Tensor:
        """The whole signal; the last window is filled with mirrored samples."""
        extra = -x.shape[2] % self.stride
        right = 0 if self.causal else self.around // 2
        return self.conv(_mirrored(x, self.around - right, right + extra))

    def step(self, x: Tensor, memory: Memory) -> Tensor:
        """The next piece, a multiple of the stride. Raises DataError for a first piece that is too short to mirror."""
        if self in memory:
            x = torch.cat([memory[self], x], 2)
        elif x.shape[2] > self.around:
            x = _mirrored(x, self.around, 0)
        else:
            raise DataError(
                "the first piece of a stream is too short: the network mirrors its beginning",
                hint="begin with a piece of at least half a second",
            )
        memory[self] = x[..., x.shape[2] - self.around :]
        return self.conv(x)


class Upsampling(nn.Module):
    """A transposed convolution whose kernel is two strides: (B, C, T) -> (B, C', T * stride)."""

    def __init__(self, channels: int, out: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.conv = variance_preserving(nn.ConvTranspose1d(channels, out, 2 * stride, stride))
        self.stride = stride
        self.left = 0 if causal else stride - stride // 2  # of the surplus samples, those before the signal

    def forward(self, x: Tensor) -> Tensor:
        """The whole signal."""
        return self.conv(x)[..., self.left : self.left + x.shape[2] * self.stride]

    def step(self, x: Tensor, memory: Memory) -> Tensor:
        """The next piece: each of its samples depends on two neighbouring inputs."""
        before = memory.get(self, torch.zeros_like(x[..., :1]))
        memory[self] = x[..., -1:]
        return self.conv(torch.cat([before, x], 2))[..., self.stride : -self.stride]


class Recurrence(nn.Module):
    """LSTM layers with a skip connection: (B, C, T) -> (B, C, T), or (B, 2 C, T) where it runs in both directions."""

    def __init__(self, channels: int, layers: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """The whole signal."""
        return self.step(x, {})

    def step(self, x: Tensor, memory: Memory) -> Tensor:
        """The next piece."""
        rows = x.permute(2, 0, 1)
        made, memory[self] = self.lstm(rows, memory.get(self))
        return (made + (rows.repeat(1, 1, 2) if self.lstm.bidirectional else rows)).permute(1, 2, 0)


class Activation(nn.ELU):
    """ELU, which has no memory."""

    def step(self, x: Tensor, memory: Memory) -> Tensor:
        """The next piece."""
        return self(x)


class Residual(nn.Module):
    """Two convolutions through half of the channels, and a convolution as the shortcut: (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int, kernel: int, dilation: int, *, causal: bool) -> None:
        super().__init__()
        hidden = channels // 2
        self.block = nn.ModuleList(
            [
                Activation(),
                Convolution(channels, hidden, kernel, dilation=dilation, causal=causal),
                Activation(),
                Convolution(hidden, channels, 1, causal=causal),
            ]
        )
        self.shortcut = Convolution(channels, channels, 1, causal=causal)

    def forward(self, x: Tensor) -> Tensor:
        """The whole signal."""
        made = x
        for layer in self.block:
            made = layer(made)
        return self.shortcut(x) + made

    def step(self, x: Tensor, memory: Memory) -> Tensor:
        """The next piece."""
        made = x
        for layer in self.block:
            made = layer.step(made, memory)  # type: ignore[operator]  # ModuleList hides the type of its modules
        return self.shortcut.step(x, memory) + made


class _Layers(nn.Module):
    """Layers one after another."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T'): the whole signal."""
        for layer in self.layers:
            x = layer(x)
        return x

    def step(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, C, T) -> (B, C', T'): the next piece. Raises DataError for a first piece that is too short."""
        for layer in self.layers:
            x = layer.step(x, memory)  # type: ignore[operator]  # ModuleList hides the type of its modules
        return x


class Encoder(_Layers):
    """Wave (B, 1, T) -> latents (B, dim, ceil(T / hop)). Each stage doubles the channels."""

    def __init__(self, shape: SEANetConfig, *, causal: bool, bidirectional: bool = False) -> None:
        width = shape.filters
        layers: list[nn.Module] = [Convolution(1, width, shape.kernel, causal=causal)]
        for stride in reversed(shape.strides):
            layers += _residuals(shape, width, causal)
            layers += [Activation(), Convolution(width, 2 * width, 2 * stride, stride=stride, causal=causal)]
            width *= 2
        if shape.lstm_layers:
            layers.append(Recurrence(width, shape.lstm_layers, bidirectional=bidirectional))
            width *= 2 if bidirectional else 1
        layers += [Activation(), Convolution(width, shape.dim, shape.kernel, causal=causal)]
        super().__init__(layers)


class Decoder(_Layers):
    """Latents (B, dim, N) -> wave (B, 1, N * hop). Each stage halves the channels."""

    def __init__(self, shape: SEANetConfig, *, causal: bool) -> None:
        width = shape.filters * 2 ** len(shape.strides)
        layers: list[nn.Module] = [Convolution(shape.dim, width, shape.kernel, causal=causal)]
        if shape.lstm_layers:
            layers.append(Recurrence(width, shape.lstm_layers))
        for stride in shape.strides:
            layers += [Activation(), Upsampling(width, width // 2, stride, causal=causal)]
            width //= 2
            layers += _residuals(shape, width, causal)
        layers += [Activation(), Convolution(width, 1, shape.kernel, causal=causal)]
        super().__init__(layers)


def _residuals(shape: SEANetConfig, width: int, causal: bool) -> list[nn.Module]:
    return [
        Residual(width, shape.residual_kernel, shape.dilation_base**number, causal=causal)
        for number in range(shape.residual_layers)
    ]


def _mirrored(x: Tensor, left: int, right: int) -> Tensor:
    """(B, C, T) with mirrored samples before and after it. A shorter signal is first extended with zeros."""
    if not left and not right:
        return x
    missing = max(0, max(left, right) + 1 - x.shape[2])
    padded = reflect(F.pad(x, (0, missing)), left, right)
    return padded[..., : padded.shape[2] - missing]
