"""The blocks of VITS: text encoder with relative attention, gated WaveNet stack, posterior encoder, coupling flow.

Kim, Kong, Son, arXiv:2106.06103, section 2 and appendix B. Parameters are named as in the authors' checkpoints.
Letters: B batch, C channels, L tokens, N frames. A mask is (B, 1, L) or (B, 1, N), 1 where valid.
"""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.modules.workers import run_pieces, threads_for_pieces
from amphion_tts.models.stochastic_duration import ChannelNorm, masked, without_needless_mask

MIN_PIECE = 32  # frames of the flow that are worth a thread


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B) -> (B, 1, size), 1 where the index is below the length."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None])[:, None].float()


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
    """Post-norm transformer encoder with relative attention."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, kernel: int, window: int, dropout: float
    ) -> None:
        super().__init__()
        self.window = window
        self.attn_layers = nn.ModuleList(RelativeAttention(channels, n_heads, window, dropout) for _ in range(n_layers))
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))
        self.ffn_layers = nn.ModuleList(FeedForward(channels, width, kernel, dropout) for _ in range(n_layers))
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels) for _ in range(n_layers))
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


class TextEncoder(nn.Module):
    """Token ids -> hidden states, and mean and log deviation of the prior."""

    def __init__(
        self, vocabulary: int, out_channels: int, channels: int, width: int, n_heads: int, n_layers: int, kernel: int,
        window: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale = math.sqrt(channels)
        self.emb = nn.Embedding(vocabulary, channels)
        nn.init.normal_(self.emb.weight, 0.0, channels**-0.5)
        self.encoder = Transformer(channels, width, n_heads, n_layers, kernel, window, dropout)
        self.proj = nn.Conv1d(channels, 2 * out_channels, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, L) -> hidden (B, C, L), mean and log deviation (B, inter, L)."""
        x = self.encoder((self.emb(ids) * self.scale).mT, mask)
        mean, log_deviation = (self.proj(x) * mask).chunk(2, 1)
        return x, mean, log_deviation


class WaveNet(nn.Module):
    """Gated convolutions with residual and skip connections (arXiv:1609.03499, section 2.3), not causal."""

    def __init__(self, channels: int, kernel: int, dilation_rate: int, n_layers: int, condition_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.reach = sum(dilation_rate**layer * (kernel - 1) // 2 for layer in range(n_layers))  # frames on each side
        self.in_layers = nn.ModuleList()
        self.res_skip_layers = nn.ModuleList()
        for layer in range(n_layers):
            dilation = dilation_rate**layer
            padding = dilation * (kernel - 1) // 2
            conv = nn.Conv1d(channels, 2 * channels, kernel, dilation=dilation, padding=padding)
            self.in_layers.append(weight_norm(conv))
            out = 2 * channels if layer < n_layers - 1 else channels
            self.res_skip_layers.append(weight_norm(nn.Conv1d(channels, out, 1)))
        if condition_channels:
            self.cond_layer = weight_norm(nn.Conv1d(condition_channels, 2 * channels * n_layers, 1))

    def forward(self, x: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N); ``condition`` (B, G, 1); ``mask`` None: every frame is valid."""
        count = len(self.in_layers)
        biases = [None] * count if condition is None else self.cond_layer(condition).chunk(count, 1)
        total: Tensor | None = None
        for layer, (gate, res_skip, bias) in enumerate(zip(self.in_layers, self.res_skip_layers, biases, strict=True)):
            h = gate(x) if bias is None else gate(x) + bias
            a, b = h.chunk(2, 1)
            h = res_skip(torch.tanh(a) * torch.sigmoid(b))
            if layer + 1 < count:
                residual, h = h.chunk(2, 1)
                x = masked(x + residual, mask)
            total = h if total is None else total + h
        assert total is not None
        return masked(total, mask)


class PosteriorEncoder(nn.Module):
    """Linear spectrogram -> a sample of the latent, its mean and log deviation."""

    def __init__(self, bins: int, out_channels: int, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(bins, channels, 1)
        self.enc = WaveNet(channels, 5, 1, 16, condition_channels)
        self.proj = nn.Conv1d(channels, 2 * out_channels, 1)

    def forward(self, spec: Tensor, mask: Tensor, condition: Tensor | None, noise: Tensor | None) -> tuple[Tensor, ...]:
        """spec (B, bins, N), noise (B, inter, N) -> z, mean, log deviation, (B, inter, N) each."""
        x = self.enc(self.pre(spec) * mask, mask, condition)
        mean, log_deviation = (self.proj(x) * mask).chunk(2, 1)
        noise = torch.randn_like(mean) if noise is None else noise
        return (mean + noise * torch.exp(log_deviation)) * mask, mean, log_deviation


class Coupling(nn.Module):
    """Add a function of the first half of the channels to the second half. The log determinant is 0."""

    def __init__(self, channels: int, hidden: int, condition_channels: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(channels // 2, hidden, 1)
        self.enc = WaveNet(hidden, 5, 1, 4, condition_channels)
        self.post = nn.Conv1d(hidden, channels // 2, 1)
        for tensor in self.post.parameters():  # a new coupling is the identity
            nn.init.zeros_(tensor)

    def shift(self, kept: Tensor, mask: Tensor | None, condition: Tensor | None) -> Tensor:
        """(B, C / 2, N) -> (B, C / 2, N); ``mask`` None: every frame is valid."""
        return masked(self.post(self.enc(masked(self.pre(kept), mask), mask, condition)), mask)


class Flow(nn.Module):
    """Four couplings, the channels reversed after each."""

    def __init__(self, channels: int, hidden: int, condition_channels: int) -> None:
        super().__init__()
        chain: list[nn.Module] = []
        for _ in range(4):  # in the published list, the reversals have the odd indices
            chain += [Coupling(channels, hidden, condition_channels), nn.Identity()]
        self.flows = nn.ModuleList(chain)

    def forward(self, z: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """Latent of the posterior -> latent of the prior, (B, C, N)."""
        couplings: Any = self.flows[::2]
        for coupling in couplings:
            kept, moved = z.chunk(2, 1)
            z = torch.cat([kept, moved * mask + coupling.shift(kept, mask, condition)], 1).flip(1)
        return z

    def reverse(self, z: Tensor, mask: Tensor, condition: Tensor | None = None) -> Tensor:
        """Latent of the prior -> latent of the posterior, (B, C, N)."""
        needed = without_needless_mask(mask)
        couplings: Any = self.flows[::2]
        for coupling in reversed(couplings):
            kept, moved = z.flip(1).chunk(2, 1)
            z = torch.cat([kept, masked(moved - _shift_in_pieces(coupling, kept, needed, condition), needed)], 1)
        return z


def _shift_in_pieces(coupling: Coupling, kept: Tensor, mask: Tensor | None, condition: Tensor | None) -> Tensor:
    """`Coupling.shift`; on a CPU with several threads, pieces of time on one thread each."""
    length, threads = kept.shape[2], threads_for_pieces()
    if kept.device.type != "cpu" or torch.is_grad_enabled() or threads == 1 or length < MIN_PIECE * threads:
        return coupling.shift(kept, mask, condition)
    step = -(-length // min(2 * threads, length // MIN_PIECE))
    reach = coupling.enc.reach

    def compute(start: int) -> Tensor:
        first, stop = max(0, start - reach), start + step + reach
        part = None if mask is None else mask[..., first:stop]
        made = coupling.shift(kept[..., first:stop], part, condition)
        return made[..., start - first : start - first + step]

    return torch.cat(run_pieces([partial(compute, start) for start in range(0, length, step)]), 2)
