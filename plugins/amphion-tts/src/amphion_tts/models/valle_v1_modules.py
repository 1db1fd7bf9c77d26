"""The Transformers of VALL-E (first release): pre-norm blocks, sines as positions, norms that a stage adapts.

Wang et al., arXiv:2301.02111, section 4.2; parameters are named as in the published code (lifeiteng/vall-e).
Letters: B batch, C channels, H heads, D channels of a head, N positions. A mask is True where a position is seen.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_tts.models.code_generation import KeyValueCache
from amphion_tts.models.fastspeech2_modules import positions


class SinePositions(nn.Module):
    """Adds sines times ``alpha``, which is learned by the autoregressive model and stays 1 in the other."""

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        if learned:
            self.alpha = nn.Parameter(torch.ones(1))
        else:
            self.register_buffer("alpha", torch.ones(1))

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """(B, N, C) -> (B, N, C); the first row has the position ``start``."""
        return x + self.alpha * positions(start + x.shape[1], x.shape[2], x.device)[start:]


class StageNorm(nn.Module):
    """Layer norm whose result is scaled and shifted by an embedding of the stage (AdaLN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project_layer = nn.Linear(channels, 2 * channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, stage: Tensor) -> Tensor:
        """x (B, N, C), stage (C) -> (B, N, C)."""
        scale, shift = self.project_layer(stage).chunk(2, -1)
        return scale * self.norm(x) + shift


class PlainNorm(nn.LayerNorm):
    """Layer norm of a Transformer without stages."""

    def forward(self, x: Tensor, stage: Tensor | None = None) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return super().forward(x)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values."""

    def __init__(self, channels: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, mask: Tensor | None, cache: KeyValueCache | None, layer: int) -> Tensor:
        """x (B, N, C), mask (B or 1, 1, N, M) -> (B, N, C); a cache holds the positions before x."""
        batch, size, channels = x.shape
        shape = (batch, size, 3, self.n_heads, channels // self.n_heads)
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).view(shape).permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(y.transpose(1, 2).reshape(batch, size, channels))


class Block(nn.Module):
    """Attention and a feed-forward network, each after a norm and with a residual connection."""

    def __init__(self, channels: int, n_heads: int, dropout: float, *, staged: bool) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, n_heads)
        self.linear1, self.linear2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.norm1, self.norm2 = _norm(channels, staged), _norm(channels, staged)
        self.dropout = dropout

    def forward(
        self, x: Tensor, mask: Tensor | None, stage: Tensor | None, cache: KeyValueCache | None, layer: int
    ) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = x + self._drop(self.self_attn(self.norm1(x, stage), mask, cache, layer))
        hidden = self._drop(F.relu(self.linear1(self.norm2(x, stage))))
        return x + self._drop(self.linear2(hidden))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.training and self.dropout else x


class Transformer(nn.Module):
    """Blocks and a last norm; ``staged``: the norms take the embedding of a stage."""

    def __init__(self, channels: int, n_heads: int, n_layers: int, dropout: float, *, staged: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(channels, n_heads, dropout, staged=staged) for _ in range(n_layers))
        self.norm = _norm(channels, staged)

    def forward(
        self, x: Tensor, mask: Tensor | None, stage: Tensor | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        """x (B, N, C), mask (B or 1, 1, N, M), stage (C) -> (B, N, C)."""
        for layer, block in enumerate(self.layers):
            x = block(x, mask, stage, cache, layer)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x, stage)


def _norm(channels: int, staged: bool) -> nn.Module:
    return StageNorm(channels) if staged else PlainNorm(channels)
