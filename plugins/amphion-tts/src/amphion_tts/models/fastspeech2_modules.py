"""The blocks of FastSpeech 2: feed-forward Transformer with positions, and PostNet.

Ren et al.: "FastSpeech 2", arXiv:2006.04558, section 2; the blocks are those of "FastSpeech", arXiv:1905.09263, section
3.1. Parameters are named as in the published checkpoints (ming024).
Letters: B batch, C channels, L tokens, N frames. A mask is (B, N) of bool, True where valid; None: all is valid.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.frame_norm import FrameNorm
from amphion_core.recording import is_recording, report

TABLE = 1024  # positions: tables of sines have a multiple of so many rows


def valid(lengths: Tensor, size: int) -> Tensor:
    """(B) -> (B, size) of bool, True where the index is below the length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (B, N, C) with 0 where the mask (B, N) is False; without a mask, x itself."""
    return x if mask is None else x * mask[..., None]


@lru_cache(maxsize=16)
def _sine_table(count: int, channels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return _sines(count, channels).to(device)


def _sines(count: int, channels: int) -> Tensor:
    place = torch.arange(count, dtype=torch.float64)[:, None]
    pair = torch.arange(channels, dtype=torch.float64) // 2
    angle = place / 10000 ** (2 * pair / channels)
    return torch.where(torch.arange(channels) % 2 == 0, angle.sin(), angle.cos()).float()


def positions(count: int, channels: int, device: torch.device) -> Tensor:
    """The position vectors (count, channels): sines at even channels, cosines at odd ones, for any count.

    Vaswani et al., arXiv:1706.03762, section 3.5.
    """
    if device.type == "meta":
        return torch.empty(count, channels, device=device)
    if torch.compiler.is_exporting():  # the count is a symbol there
        return _sines(count, channels)
    return _sine_table(-(-count // TABLE) * TABLE, channels, device)[:count]


class ConvOverTime(nn.Module):
    """Convolution over time of rows: (B, N, C) -> (B, N, C')."""

    def __init__(self, channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, out_channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C')."""
        return self.conv(x.mT).mT


class SelfAttention(nn.Module):
    """Multi-head self-attention with residual connection and layer norm behind it."""

    def __init__(self, channels: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.w_qs, self.w_ks, self.w_vs, self.fc = (nn.Linear(channels, channels) for _ in range(4))
        self.layer_norm = nn.LayerNorm(channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N, C). Every row sees the valid rows only."""
        batch, length, channels = x.shape
        heads = (batch, length, self.n_heads, channels // self.n_heads)
        q, k, v = (layer(x).view(heads).transpose(1, 2) for layer in (self.w_qs, self.w_ks, self.w_vs))  # (B, H, N, D)
        seen = None if mask is None else mask[:, None, None]
        if is_recording():
            scores = q @ k.mT / q.shape[-1] ** 0.5
            weights = scores if seen is None else scores.masked_fill(~seen, -torch.inf)
            report("attention", weights.softmax(-1), "BHNM")
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).reshape(batch, length, channels)
        return self.layer_norm(x + self.drop(self.fc(y)))


class FeedForward(nn.Module):
    """Two convolutions with ReLU between them, residual connection and layer norm behind it."""

    def __init__(self, channels: int, width: int, kernels: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(channels, width, kernels[0], padding=kernels[0] // 2)
        self.w_2 = nn.Conv1d(width, channels, kernels[1], padding=kernels[1] // 2)
        self.layer_norm = nn.LayerNorm(channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        y = torch.relu(self.w_1(x.mT))
        if mask is not None and self.w_2.kernel_size != (1,):
            y = y * mask[:, None]
        return self.layer_norm(x + self.drop(self.w_2(y).mT))


class Block(nn.Module):
    """One feed-forward Transformer block: attention, then convolutions."""

    def __init__(self, channels: int, width: int, n_heads: int, kernels: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.slf_attn = SelfAttention(channels, n_heads, dropout)
        self.pos_ffn = FeedForward(channels, width, kernels, dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = masked(self.slf_attn(x, mask), mask)
        return masked(self.pos_ffn(x, mask), mask)


class Transformer(nn.Module):
    """Blocks over vectors with positions: (B, N, C) -> (B, N, C). It is the decoder."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, kernels: tuple[int, int], dropout: float
    ) -> None:
        super().__init__()
        self.layer_stack = nn.ModuleList(Block(channels, width, n_heads, kernels, dropout) for _ in range(n_layers))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N, C), 0 where the mask is False."""
        x = x + positions(x.shape[1], x.shape[2], x.device)
        for block in self.layer_stack:
            x = block(x, mask)
        return x


class TextEncoder(Transformer):
    """The same over the embeddings of symbols: ids (B, L) -> (B, L, C)."""

    def __init__(self, vocabulary: int, channels: int, *sizes: Any) -> None:
        super().__init__(channels, *sizes)
        self.src_word_emb = nn.Embedding(vocabulary, channels)

    def forward(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """ids (B, L) -> (B, L, C), 0 where the mask is False."""
        return super().forward(self.src_word_emb(ids), mask)


class PostNet(nn.Module):
    """Five convolutions whose output is added to the mel; Shen et al., arXiv:1712.05884, section 2.2."""

    def __init__(self, n_mels: int, width: int, kernel: int = 5, layers: int = 5, dropout: float = 0.5) -> None:
        super().__init__()
        sizes = [n_mels, *[width] * (layers - 1), n_mels]
        self.convolutions = nn.ModuleList(
            nn.ModuleList([ConvOverTime(before, after, kernel), FrameNorm(after)]) for before, after in pairwise(sizes)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, mel: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, F) -> (B, N, F)."""
        x = mel
        for index, (conv, norm) in enumerate(cast(Iterable[nn.ModuleList], self.convolutions)):
            x = norm(conv(masked(x, mask)).mT, mask).mT
            x = self.drop(x if index + 1 == len(self.convolutions) else torch.tanh(x))
        return x
