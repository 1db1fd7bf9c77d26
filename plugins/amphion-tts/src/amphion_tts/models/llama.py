"""Llama's Transformer: RMS norms, rotary positions, gated feed-forward networks; causal, or seeing everything.

Touvron et al.: "LLaMA", arXiv:2302.13971, section 2.2; rotary positions: Su et al., arXiv:2104.09864. Parameters are
named as in transformers' LlamaModel, and the outputs are equal. A condition may scale the norms of the blocks, as in
the NAR model of the paper's VALL-E.
Letters: B batch, C channels, H heads, D channels of a head, N positions. A mask is True where a position is seen.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_tts.models.code_generation import WEIGHT_STD, KeyValueCache

ROPE_BASE = 10000.0
TABLE = 1024  # positions: tables of angles have a multiple of so many rows
Rotation = tuple[Tensor, Tensor]


class RMSNorm(nn.Module):
    """x / rms(x) * weight; x is (B, N, C)."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(channels)), eps

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, N, C) -> (B, N, C); the condition is not used."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class AdaptiveRMSNorm(nn.Module):
    """x / rms(x) * weight, where the weight is a linear function of a condition."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.to_weight, self.eps = nn.Linear(channels, channels), eps
        nn.init.normal_(self.to_weight.weight, std=WEIGHT_STD)
        nn.init.ones_(self.to_weight.bias)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (B, N, C), condition (C) -> (B, N, C)."""
        assert condition is not None
        return F.rms_norm(x, (x.shape[-1],), self.to_weight(condition).to(x.dtype), self.eps)


class SelfAttention(nn.Module):
    """Multi-head attention with rotary positions, without biases."""

    def __init__(self, channels: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (_linear(channels, channels) for _ in range(4))

    def forward(
        self, x: Tensor, rotation: Rotation, mask: Tensor | None, causal: bool, cache: KeyValueCache | None, layer: int
    ) -> Tensor:
        """x (B, N, C), mask (B or 1, 1, N, M) -> (B, N, C); a cache holds the positions before x."""
        batch, size, channels = x.shape
        heads = (batch, size, self.n_heads, channels // self.n_heads)
        q, k, v = (layer(x).view(heads).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = _rotated(q, rotation), _rotated(k, rotation)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and size > 1)
        return self.o_proj(y.transpose(1, 2).reshape(batch, size, channels))


class FeedForward(nn.Module):
    """down(silu(gate(x)) * up(x)), without biases."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = _linear(channels, width), _linear(channels, width)
        self.down_proj = _linear(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention and a feed-forward network, each after a norm and with a residual connection."""

    def __init__(self, channels: int, n_heads: int, width: int, eps: float, *, adaptive: bool) -> None:
        super().__init__()
        norm = AdaptiveRMSNorm if adaptive else RMSNorm
        self.self_attn, self.mlp = SelfAttention(channels, n_heads), FeedForward(channels, width)
        self.input_layernorm, self.post_attention_layernorm = norm(channels, eps), norm(channels, eps)

    def forward(
        self, x: Tensor, rotation: Rotation, mask: Tensor | None, causal: bool, condition: Tensor | None,
        cache: KeyValueCache | None, layer: int,
    ) -> Tensor:  # fmt: skip
        """(B, N, C) -> (B, N, C)."""
        x = x + self.self_attn(self.input_layernorm(x, condition), rotation, mask, causal, cache, layer)
        return x + self.mlp(self.post_attention_layernorm(x, condition))


class Llama(nn.Module):
    """Blocks and a last norm over vectors: (B, N, C) -> (B, N, C).

    ``adaptive``: a condition scales the norms of the blocks; ``adaptive_end``: also the last norm.
    """

    def __init__(
        self, channels: int, n_heads: int, n_layers: int, width: int, eps: float, *,
        adaptive: bool = False, adaptive_end: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.head_channels = channels // n_heads
        self.layers = nn.ModuleList(Block(channels, n_heads, width, eps, adaptive=adaptive) for _ in range(n_layers))
        self.norm = AdaptiveRMSNorm(channels, eps) if adaptive_end else RMSNorm(channels, eps)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, *, causal: bool = False, condition: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:  # fmt: skip
        """x (B, N, C), mask (B or 1, 1, N, M), condition (C) -> (B, N, C).

        ``causal`` stands for a mask, and belongs to a sequence from its beginning or to one position after a cache.
        """
        start = 0 if cache is None else cache.length
        rotation = _angles(start, x.shape[1], self.head_channels, x.device)
        rotation = rotation[0].to(x.dtype), rotation[1].to(x.dtype)
        for layer, block in enumerate(self.layers):
            x = block(x, rotation, mask, causal, condition, cache, layer)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x, condition)


def _linear(channels: int, out_channels: int) -> nn.Linear:
    layer = nn.Linear(channels, out_channels, bias=False)
    nn.init.normal_(layer.weight, std=WEIGHT_STD)
    return layer


@lru_cache(maxsize=16)
def _table(count: int, channels: int, device: torch.device) -> Rotation:
    with torch.inference_mode(False), torch.no_grad():
        frequency = 1 / ROPE_BASE ** (torch.arange(0, channels, 2, dtype=torch.float32) / channels)
        angle = torch.outer(torch.arange(count, dtype=torch.float32), frequency)
        angle = torch.cat([angle, angle], 1)
        return angle.cos().to(device), angle.sin().to(device)


def _angles(start: int, count: int, channels: int, device: torch.device) -> Rotation:
    """Cosine and sine (count, D) of the positions from ``start`` on."""
    if device.type == "meta":
        return (torch.empty(count, channels, device=device),) * 2
    cos, sin = _table(-(-(start + count) // TABLE) * TABLE, channels, device)
    return cos[start : start + count], sin[start : start + count]


def _rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """Heads (B, H, N, D) turned by the angles of their positions."""
    first, second = x.chunk(2, -1)
    return x * rotation[0] + torch.cat([-second, first], -1) * rotation[1]
