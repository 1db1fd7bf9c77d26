"""Layers of the community's FACodec at 24 kHz: DAC's stages with causal convolutions, and two encoders of a mel.

DAC: Kumar et al., arXiv:2306.06546. The encoder of prosody is WaveGlow's network of gated convolutions
(arXiv:1811.00002); the encoder of timbre is that of Meta-StyleSpeech (Min et al., arXiv:2106.03153, section 3.1).
Parameters have the names of the published checkpoints, but for the wrappers of their convolutions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_vocoders.models.seanet import Convolution, Recurrence, Upsampling
from amphion_vocoders.models.snake import Snake

DILATIONS = (1, 3, 9)  # of the residual units of a stage
GAIN = 1 / 3  # of what a residual unit adds before training; with 1, each would double the variance
LOUDNESS = 0.1  # deviation of the decoder's wave before training, as speech has it
KERNEL = 7  # of the residual units, and of the first and last convolutions


class Unit(nn.Module):
    """x + f(x): two convolutions with Snake before them, (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int, dilation: int, *, causal: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels),
            Convolution(channels, channels, KERNEL, dilation=dilation, causal=causal),
            Snake(channels),
            Convolution(channels, channels, 1, causal=causal, gain=GAIN),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return x + self.block(x)


class _Stage(nn.Module):
    """Layers one after another, under the name that published checkpoints have."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T')."""
        return self.block(x)


class Encoder24k(_Stage):
    """Wave (B, 1, T) -> latents (B, dim, ceil(T / hop))."""

    def __init__(self, channels: int, strides: tuple[int, ...], dim: int, lstm: int, *, causal: bool) -> None:
        layers: list[nn.Module] = [Convolution(1, channels, KERNEL, causal=causal)]
        for stride in strides:
            units = [Unit(channels, dilation, causal=causal) for dilation in DILATIONS]
            down = Convolution(channels, 2 * channels, 2 * stride, stride=stride, causal=causal)
            layers.append(_Stage(*units, Snake(channels), down))
            channels *= 2
        layers += [Recurrence(channels, lstm)] if lstm else []
        super().__init__(*layers, Snake(channels), Convolution(channels, dim, 3, causal=causal))


class Decoder24k(nn.Module):
    """Latents (B, dim, N) -> wave (B, 1, N * hop) in [-1, 1]."""

    def __init__(self, dim: int, channels: int, strides: tuple[int, ...], lstm: int, *, causal: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [Convolution(dim, channels, KERNEL, causal=causal)]
        layers += [Recurrence(channels, lstm)] if lstm else []
        for stride in strides:
            half = channels // 2
            units = [Unit(half, dilation, causal=causal) for dilation in DILATIONS]
            layers.append(_Stage(Snake(channels), Upsampling(channels, half, stride, causal=causal), *units))
            channels = half
        last = Convolution(channels, 1, KERNEL, causal=causal, gain=LOUDNESS)
        self.model = nn.Sequential(*layers, Snake(channels), last, nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, N) -> (B, 1, N * hop)."""
        return self.model(x)


class GatedConvolutions(nn.Module):
    """Gated convolutions with skip connections, (B, C, N) -> (B, C, N)."""

    def __init__(self, channels: int, kernel: int, layers: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.channels = channels
        self.drop = nn.Dropout(dropout)
        self.in_layers = nn.ModuleList(
            Convolution(channels, 2 * channels, kernel, causal=causal) for _ in range(layers)
        )
        self.res_skip_layers = nn.ModuleList(
            Convolution(channels, channels if layer == layers - 1 else 2 * channels, 1, causal=causal)
            for layer in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        total = torch.zeros_like(x)
        for gate, out in zip(self.in_layers, self.res_skip_layers, strict=True):
            a, b = gate(x).chunk(2, 1)
            made = out(self.drop(torch.tanh(a) * torch.sigmoid(b)))
            if made.shape[1] > self.channels:
                residual, made = made.chunk(2, 1)
                x = x + residual
            total = total + made
        return total


class _GLU(nn.Module):
    """x + f(x) with a gated linear unit."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, 2 * channels, 5, padding=2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        return x + self.dropout(F.glu(self.conv1(x), 1))


class _Attention(nn.Module):
    """Self-attention with projections that are convolutions of one frame."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        q, k, v = (conv(x).unflatten(1, (self.heads, -1)).mT for conv in (self.conv_q, self.conv_k, self.conv_v))
        made = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.conv_o(made.mT.flatten(1, 2))


class TimbreEncoder(nn.Module):
    """Mel (B, bands, N) -> timbre (B, G), the mean over all frames."""

    def __init__(self, bands: int, hidden: int, out: int, *, window: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.window = window
        mish, drop = nn.Mish(), nn.Dropout(dropout)
        self.spectral = nn.Sequential(nn.Conv1d(bands, hidden, 1), mish, drop, nn.Conv1d(hidden, hidden, 1), mish, drop)
        self.temporal = nn.Sequential(_GLU(hidden, dropout), _GLU(hidden, dropout))
        self.slf_attn = _Attention(hidden, 2, dropout)
        self.atten_drop = nn.Dropout(dropout)
        self.fc = nn.Conv1d(hidden, out, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, bands, N) -> (B, G). More than ``window`` frames are attended to window by window."""
        x = self.temporal(self.spectral(mel))
        x = torch.cat([part + self.atten_drop(self.slf_attn(part)) for part in torch.split(x, self.window, 2)], 2)
        return self.fc(x).mean(2)
