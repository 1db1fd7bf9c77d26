"""Transformer of FACodec, for the timbre, for prosody of a mel, and for the redecoder.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2. Layers are those of FastSpeech 2 with layer norms first:
attention, then a convolution and a linear layer. Parameters have the names of the published checkpoints.
Deviations: upstream adds to each frame the row of the position table that belongs to the item's place in the batch, by
mistake, and its weights are trained so. ``positions="batch_index"`` adds row 0 to every frame of every item, which is
what upstream does with a single recording; it does not make an item depend on its place in a batch.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Positions = Literal["time", "batch_index"]


class FrameTransformer(nn.Module):
    """Frames (B, N, C) -> (B, N, C). With ``condition_dim``, layer norms are scaled by a condition (B, G)."""

    def __init__(
        self,
        dim: int,
        *,
        layers: int,
        heads: int,
        inner: int,
        kernel: int,
        dropout: float,
        positions: Positions,
        window: int,
        condition_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.positions, self.window = positions, window
        self.dropout = nn.Dropout(dropout)
        if positions == "batch_index":
            self.register_buffer("position", position_table(1, dim, torch.device("cpu"))[0])
        self.layers = nn.ModuleList(_Layer(dim, heads, inner, kernel, dropout, condition_dim) for _ in range(layers))
        self.last_ln = _norm(dim, condition_dim)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, N, C), (B, G) where the layer norms have a condition -> (B, N, C).

        More than ``window`` frames are processed in windows of that length, each by itself, so that memory does not
        grow with the square of the length. Positions begin at 0 in each.
        """
        return torch.cat([self._attend(part, condition) for part in torch.split(x, self.window, 1)], 1)

    def _attend(self, x: Tensor, condition: Tensor | None) -> Tensor:
        stored: Any = self.position if self.positions == "batch_index" else None
        x = self.dropout(x + (position_table(x.shape[1], x.shape[2], x.device) if stored is None else stored))
        for layer in self.layers:
            x = layer(x, condition)
        return _normed(self.last_ln, x, condition)


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int, inner: int, kernel: int, dropout: float, condition: int | None) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = _norm(dim, condition), _norm(dim, condition)
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ffn = _FeedForward(dim, inner, kernel, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        y = _normed(self.ln_1, x, condition)
        x = x + self.dropout(self.self_attn(y, y, y, need_weights=False)[0])
        return x + self.ffn(_normed(self.ln_2, x, condition))


class _FeedForward(nn.Module):
    """A convolution over frames, and a linear layer."""

    def __init__(self, dim: int, inner: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.ffn_1 = nn.Conv1d(dim, inner, kernel, padding=kernel // 2)
        self.ffn_2 = nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return self.ffn_2(self.dropout(F.relu(self.ffn_1(x.mT).mT)))


class _ConditionedNorm(nn.Module):
    """Layer norm whose scale and shift are linear functions of a condition."""

    def __init__(self, dim: int, condition: int) -> None:
        super().__init__()
        self.style = nn.Linear(condition, 2 * dim)
        with torch.no_grad():
            self.style.bias[:dim] = 1
            self.style.bias[dim:] = 0

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, N, C), (B, G) -> (B, N, C)."""
        scale, shift = self.style(condition)[:, None].chunk(2, -1)
        return scale * F.layer_norm(x, x.shape[-1:]) + shift


def _norm(dim: int, condition: int | None) -> nn.Module:
    return nn.LayerNorm(dim) if condition is None else _ConditionedNorm(dim, condition)


def _normed(norm: nn.Module, x: Tensor, condition: Tensor | None) -> Tensor:
    return norm(x) if condition is None else norm(x, condition)


def position_table(count: int, dim: int, device: torch.device) -> Tensor:
    """Sines and cosines of positions 0 to ``count`` - 1, (count, dim): even columns are sines, odd ones cosines."""
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10000.0) / dim))
    angles = torch.arange(count, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
