"""Transformer encoder with relative attention, as VITS has it, and its norm over channels.

Kim, Kong, Son: "Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech",
arXiv:2106.06103, section 2.2.1 and appendix B. Parameters are named as in the authors' checkpoints.
Letters: B batch, C channels, L tokens. A mask is (B, 1, L), 1 where valid.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.masks import masked, without_needless_mask


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (B, C, L). Parameters are named as in the published checkpoints."""

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        return F.layer_norm(x.mT, self.gamma.shape, self.gamma, self.beta, self.epsilon).mT


class RelativeAttention(nn.Module):
    """Self-attention with learned weights for the distance between two tokens, up to ``window`` in both directions.

    Shaw et al., arXiv:1803.02155, equations 3 and 4, with one table for all heads.
    """

    def __init__(self, channels: int, n_heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.window = n_heads, window
        size = channels // n_heads
        self.conv_q, self.conv_k, self.conv_v, self.conv_o = (nn.Conv1d(channels, channels, 1) for _ in range(4))
        self.emb_rel_k = nn.Parameter(torch.randn(1, 2 * window + 1, size) * size**-0.5)
        self.emb_rel_v = nn.Parameter(torch.randn(1, 2 * window + 1, size) * size**-0.5)
        self.drop = nn.Dropout(dropout)
        for conv in (self.conv_q, self.conv_k, self.conv_v):
            nn.init.xavier_uniform_(conv.weight)

    def forward(self, x: Tensor, mask: Tensor | None, offsets: "Offsets") -> Tensor:
        """(B, C, L) -> (B, C, L); ``mask`` None: every token is valid."""
        batch, channels, length = x.shape
        heads = (batch, self.n_heads, channels // self.n_heads, length)
        q = self.conv_q(x).reshape(heads).mT / math.sqrt(heads[2])  # (B, H, L, D)
        k = self.conv_k(x).reshape(heads)
        v = self.conv_v(x).reshape(heads).mT
        shape = (batch, self.n_heads, -1, -1)
        scores = q @ k + (q @ self.emb_rel_k.mT).gather(-1, offsets.to_table.expand(shape)) * offsets.near
        if mask is not None:
            scores = scores.masked_fill(mask[:, :, None] == 0, -1e4)
        weights = self.drop(scores.softmax(-1))  # (B, H, L, L)
        by_offset = weights.gather(-1, offsets.neighbour.expand(shape)) * offsets.inside
        out = weights @ v + by_offset @ self.emb_rel_v  # (B, H, L, D)
        return self.conv_o(out.mT.reshape(batch, channels, length))


class Offsets:
    """Distances between the tokens of a text, as indices. All layers of an encoder share one object."""

    def __init__(self, length: int, window: int, device: torch.device) -> None:
        token = torch.arange(length, device=device)
        offset = token - token[:, None] + window  # row i, column j: j - i, counted from -window
        self.near = (offset >= 0) & (offset <= 2 * window)  # (L, L): inside the table
        self.to_table = offset.clamp(0, 2 * window)  # (L, L): index into the table
        neighbour = token[:, None] + torch.arange(-window, window + 1, device=device)
        self.inside = (neighbour >= 0) & (neighbour < length)  # (L, 2 * window + 1): inside the text
        self.neighbour = neighbour.clamp(0, length - 1)  # (L, 2 * window + 1): index of the token at each distance


class FeedForward(nn.Module):
    """Two convolutions with ReLU between them."""

    def __init__(self, channels: int, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.first = 1 - kernel % 2  # with an even kernel the convolution gives one token too many, at the start
        self.conv_1 = nn.Conv1d(channels, width, kernel, padding=kernel // 2)
        self.conv_2 = nn.Conv1d(width, channels, kernel, padding=kernel // 2)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, C, L) -> (B, C, L); ``mask`` None: every token is valid."""
        x = self.drop(torch.relu(self.conv_1(masked(x, mask))[..., self.first :]))
        return masked(self.conv_2(masked(x, mask))[..., self.first :], mask)


class Transformer(nn.Module):
    """Post-norm transformer encoder with relative attention. ``epsilon`` is that of its norms."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, kernel: int, window: int, dropout: float,
        *, epsilon: float = 1e-5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.window = window
        self.attn_layers = nn.ModuleList(RelativeAttention(channels, n_heads, window, dropout) for _ in range(n_layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels, epsilon) for _ in range(n_layers))
        self.ffn_layers = nn.ModuleList(FeedForward(channels, width, kernel, dropout) for _ in range(n_layers))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels, epsilon) for _ in range(n_layers))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        needed = without_needless_mask(mask)
        offsets = Offsets(x.shape[2], self.window, x.device)
        x = masked(x, needed)
        layers = zip(self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True)
        for attend, norm_1, feed, norm_2 in layers:
            x = norm_1(x + self.drop(attend(x, needed, offsets)))
            x = norm_2(x + self.drop(feed(x, needed)))
        return masked(x, needed)
