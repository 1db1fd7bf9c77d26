"""The Conformer encoder of WeNet's recognisers: filterbank energies to frames of 40 ms.

Gulati et al.: "Conformer: Convolution-augmented Transformer for Speech Recognition", arXiv:2005.08100 (the block).
Dai et al.: "Transformer-XL", arXiv:1901.02860 (the attention). Zhang et al.: "WeNet 2.0", arXiv:2203.15455 (the model).
Names of modules and tensors are those of the published checkpoints. Deviations from the papers, as in WeNet:
positions are not shifted, so a score depends on the position of the key and not on its distance from the query;
a causal convolution has its zeros before the first pointwise convolution, whose bias they therefore get.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BASE = 10000.0  # of the wavelengths of the positions


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a checkpoint's settings state of the encoder."""

    bands: int
    channels: int
    heads: int
    width: int  # hidden channels of the feed-forward modules
    blocks: int
    kernel: int  # of the depthwise convolution, in frames of 40 ms
    layer_norm: bool  # after the depthwise convolution; False: batch norm
    causal: bool
    epsilon: float  # of the norms of a block


class WeNetEncoder(nn.Module):
    """Filterbank energies (B, N, F) -> (B, (N - 3) // 4, C). Every frame attends to all others."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.global_cmvn = _Normalised(sizes.bands)
        self.embed = _Subsampling(sizes.bands, sizes.channels)
        self.encoders = nn.ModuleList([ConformerBlock(sizes) for _ in range(sizes.blocks)])
        self.after_norm = nn.LayerNorm(sizes.channels, sizes.epsilon)

    def forward(self, energies: Tensor) -> Tensor:
        """The blocks see the input times the root of the channels, and the positions apart from it."""
        x = self.embed(self.global_cmvn(energies)) * math.sqrt(self.after_norm.normalized_shape[0])
        positions = sine_positions(x.shape[1], x.shape[2], x.device)
        for block in self.encoders:
            x = block(x, positions)
        return self.after_norm(x)


class _Normalised(nn.Module):
    """Each band with the mean and the inverse standard deviation of the training data, (B, N, F) -> (B, N, F)."""

    mean: Tensor
    istd: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("istd", torch.ones(bands))

    def forward(self, energies: Tensor) -> Tensor:
        return (energies - self.mean) * self.istd


class _Subsampling(nn.Module):
    """Two convolutions over time and bands, each with stride 2: (B, N, F) -> (B, (N - 3) // 4, C)."""

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, channels, 3, 2), nn.ReLU(), nn.Conv2d(channels, channels, 3, 2), nn.ReLU()
        )
        self.out = nn.Sequential(nn.Linear(channels * ((bands - 3) // 4), channels))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x[:, None])  # (B, C, N', F')
        return self.out(x.transpose(1, 2).flatten(2))


class ConformerBlock(nn.Module):
    """Half a feed-forward module, attention, convolution, half a feed-forward module: (B, N, C) -> (B, N, C)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, epsilon = sizes.channels, sizes.epsilon
        self.feed_forward_macaron = _FeedForward(channels, sizes.width)
        self.self_attn = PositionalAttention(channels, sizes.heads)
        self.conv_module = ConvolutionModule(sizes)
        self.feed_forward = _FeedForward(channels, sizes.width)
        self.norm_ff_macaron = nn.LayerNorm(channels, epsilon)
        self.norm_mha = nn.LayerNorm(channels, epsilon)
        self.norm_conv = nn.LayerNorm(channels, epsilon)
        self.norm_ff = nn.LayerNorm(channels, epsilon)
        self.norm_final = nn.LayerNorm(channels, epsilon)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """``positions`` is (N, C)."""
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        x = x + self.self_attn(self.norm_mha(x), positions)
        x = x + self.conv_module(self.norm_conv(x))
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class _FeedForward(nn.Module):
    """Two linear layers with Swish between them, (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(channels, width)
        self.w_2 = nn.Linear(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(F.silu(self.w_1(x)))


class PositionalAttention(nn.Module):
    """Attention whose scores are ((q + u) k + (q + v) p) / sqrt(d), with p of the key's position; arXiv:1901.02860."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(channels, channels)
        self.linear_k = nn.Linear(channels, channels)
        self.linear_v = nn.Linear(channels, channels)
        self.linear_out = nn.Linear(channels, channels)
        self.linear_pos = nn.Linear(channels, channels, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, channels // heads))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, channels // heads))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """(B, N, C), (N, C) -> (B, N, C). The scores are q (k + p), and u k + v p, which is one number for each key."""
        query, key, value = (self._split(layer(x)) for layer in (self.linear_q, self.linear_k, self.linear_v))
        place = self._split(self.linear_pos(positions)[None])  # (1, H, N, d)
        of_key = key @ self.pos_bias_u[..., None] + place @ self.pos_bias_v[..., None]  # (B, H, N, 1)
        added = of_key.mT.expand(-1, -1, x.shape[1], -1) / math.sqrt(query.shape[-1])
        found = F.scaled_dot_product_attention(query, key + place, value, attn_mask=added)
        return self.linear_out(found.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, heads, N, C / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class ConvolutionModule(nn.Module):
    """Pointwise convolution with a gate, depthwise convolution, norm, Swish, pointwise convolution.

    (B, N, C) -> (B, N, C). A causal convolution sees the frame itself and those before it.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        channels, before = sizes.channels, sizes.kernel - 1
        self.padding = (before, 0) if sizes.causal else (0, 0)
        self.pointwise_conv1 = nn.Conv1d(channels, 2 * channels, 1)
        self.depthwise_conv = nn.Conv1d(
            channels, channels, sizes.kernel, padding=0 if sizes.causal else before // 2, groups=channels
        )
        self.norm = _ChannelsNorm(channels) if sizes.layer_norm else nn.BatchNorm1d(channels)
        self.pointwise_conv2 = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """A causal convolution has zeros in place of the frames before the first one."""
        gated = F.glu(self.pointwise_conv1(F.pad(x.mT, self.padding)), 1)  # (B, C, N), longer where causal
        return self.pointwise_conv2(F.silu(self.norm(self.depthwise_conv(gated)))).mT


class _ChannelsNorm(nn.LayerNorm):
    """Layer norm of the channels of each frame, (B, C, N) -> (B, C, N)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


def sine_positions(count: int, channels: int, device: torch.device) -> Tensor:
    """Positions 0 to N - 1 as sines (even channels) and cosines (odd channels), (N, C)."""
    rates = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(BASE) / channels))
    angles = torch.arange(count, device=device)[:, None] * rates  # (N, C / 2)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
