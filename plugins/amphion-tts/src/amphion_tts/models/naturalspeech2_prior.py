"""The prior of NaturalSpeech 2: phones and a voice prompt become a condition for each frame.

Shen et al.: "NaturalSpeech 2", arXiv:2304.09116, section 3.2. Parameters are named as in Amphion's checkpoints.
Deviations: padding is masked before every convolution and is left out of the mean of a prompt, so that an item of a
batch does not depend on the others. In the published code padding reaches valid symbols and frames.
Letters: B batch, C channels, L tokens, N frames. A mask is (B, N) of bool, True where valid; None: all is valid.
"""

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_tts.models.fastspeech2_modules import masked, positions

Positional = Literal["time", "batch_index"]

ATTENTION_DROPOUT = 0.1  # after attention in the Transformers, as in Amphion's models


def attend(attention: nn.MultiheadAttention, query: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
    """query (B, N, C) looks at the valid rows of states (B, M, C): (B, N, C)."""
    hidden = None if mask is None else ~mask
    return attention(query, states, states, key_padding_mask=hidden, need_weights=False)[0]


def mean_over_time(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of the valid rows: (B, N, C) -> (B, 1, C)."""
    if mask is None:
        return x.mean(1, keepdim=True)
    return masked(x, mask).sum(1, keepdim=True) / mask.sum(1)[:, None, None]


class Positions(nn.Module):
    """Adds a vector to each row: by its place in time, or the same one everywhere.

    ``batch_index`` is for published weights. Their training added the sines of an item's number in its batch to all its
    rows. Here every item gets those of number 0, so that its result does not depend on its place in a batch.
    """

    def __init__(self, kind: Positional) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        count = x.shape[1] if self.kind == "time" else 1
        return x + positions(count, x.shape[2], x.device)


class StyleNorm(nn.Module):
    """Layer norm whose scale and shift come from a style vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.style = nn.Linear(channels, 2 * channels)
        with torch.no_grad():
            self.style.bias[:channels], self.style.bias[channels:] = 1.0, 0.0

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x (B, N, C), style (B, 1, C) -> (B, N, C)."""
        scale, shift = self.style(style).chunk(2, -1)
        return scale * F.layer_norm(x, x.shape[-1:]) + shift


class PlainNorm(nn.LayerNorm):
    """Layer norm with the signature of `StyleNorm`; the style is not used."""

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return super().forward(x)


class FeedForward(nn.Module):
    """A convolution over time, ReLU, and a linear layer."""

    def __init__(self, channels: int, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.ffn_1 = nn.Conv1d(channels, width, kernel, padding=kernel // 2)
        self.ffn_2 = nn.Linear(width, channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return self.ffn_2(self.drop(torch.relu(self.ffn_1(masked(x, mask).mT).mT)))


class Block(nn.Module):
    """One Transformer block with layer norms before attention and before the feed-forward layer."""

    def __init__(self, channels: int, width: int, n_heads: int, kernel: int, dropout: float, styled: bool) -> None:
        super().__init__()
        norm = StyleNorm if styled else PlainNorm
        self.ln_1, self.ln_2 = norm(channels), norm(channels)
        self.self_attn = nn.MultiheadAttention(channels, n_heads, dropout, batch_first=True)
        self.ffn = FeedForward(channels, width, kernel, dropout)
        self.drop = nn.Dropout(ATTENTION_DROPOUT)

    def forward(self, x: Tensor, mask: Tensor | None, style: Tensor | None) -> Tensor:
        """x (B, N, C), style (B, 1, C) -> (B, N, C)."""
        y = self.ln_1(x, style)
        x = x + self.drop(attend(self.self_attn, y, y, mask))
        return x + self.ffn(self.ln_2(x, style), mask)


class Transformer(nn.Module):
    """Blocks over rows with positions. With ``styled`` all layer norms follow a style vector (B, 1, C)."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, kernel: int, dropout: float,
        positional: Positional, *, styled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.position_emb = Positions(positional)
        self.layers = nn.ModuleList(Block(channels, width, n_heads, kernel, dropout, styled) for _ in range(n_layers))
        self.last_ln = (StyleNorm if styled else PlainNorm)(channels)

    def forward(self, x: Tensor, mask: Tensor | None, style: Tensor | None = None) -> Tensor:
        """x (B, N, C) -> (B, N, C), 0 where the mask is False."""
        x = self.position_emb(x)
        for layer in self.layers:
            x = layer(x, mask, style)
        return masked(self.last_ln(x, style), mask)


class ConvStep(nn.Sequential):
    """Convolution, ReLU, layer norm and dropout: (B, C, N) -> (B, C, N)."""

    def __init__(self, channels: int, kernel: int, dropout: float) -> None:
        super().__init__(
            nn.Conv1d(channels, channels, kernel, padding=kernel // 2), nn.ReLU(), nn.LayerNorm(channels),
            nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        conv, act, norm, drop = self
        return drop(norm(act(conv(x)).mT)).mT


class Predictor(nn.Module):
    """One number for each row, from the rows and from the prompt, which some layers attend to; section 3.2.

    The first convolution has no residual connection, as in Amphion's models.
    """

    def __init__(
        self, channels: int, kernel: int, n_layers: int, attention_every: int, n_heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention_every = attention_every
        self.conv = nn.ModuleList(ConvStep(channels, kernel, dropout) for _ in range(n_layers))
        self.cattn = nn.ModuleList(
            nn.ModuleList([nn.MultiheadAttention(channels, n_heads, batch_first=True), nn.LayerNorm(channels)])
            for _ in range(-(-n_layers // attention_every))
        )
        self.drop = nn.Dropout(0.2)  # after attention, as in Amphion's models
        self.linear = nn.Linear(channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None, prompt: Tensor, prompt_mask: Tensor | None) -> Tensor:
        """x (B, N, C), prompt (B, M, C) -> (B, N), 0 where the mask is False."""
        x = masked(x, mask).mT  # (B, C, N)
        for index, conv in enumerate(self.conv):
            start = x
            if index % self.attention_every == 0:
                attention, norm = cast(nn.ModuleList, self.cattn[index // self.attention_every])
                seen = attend(cast(nn.MultiheadAttention, attention), norm(x.mT), prompt, prompt_mask)
                x = masked((x.mT + self.drop(seen)) / math.sqrt(2), mask).mT
            x = conv(x) if index == 0 else start + conv(x)
            if mask is not None:
                x = x * mask[:, None]
        return masked(self.linear(x.mT), mask)[..., 0]


class PriorEncoder(nn.Module):
    """Phones -> their states and durations; frames -> their pitch and the condition of the diffusion; section 3.2.

    ``config`` is that of `NaturalSpeech2`.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        c, channels = config, config.hidden_channels
        self.enc_emb_tokens = nn.Embedding(c.vocabulary_size, channels)
        self.encoder = Transformer(
            channels, c.encoder_filter, c.encoder_heads, c.encoder_layers, c.encoder_kernel, c.encoder_dropout,
            c.positional, styled=True,
        )  # fmt: skip
        sizes = c.predictor_attention_every, c.predictor_heads, c.predictor_dropout
        self.duration_predictor = Predictor(channels, c.duration_kernel, c.duration_layers, *sizes)
        self.pitch_predictor = Predictor(channels, c.pitch_kernel, c.pitch_layers, *sizes)
        low, high = (math.log(value) for value in c.pitch_range)
        nn.init.constant_(self.pitch_predictor.linear.bias, (low + high) / 2)
        self.pitch_bins = nn.Buffer(torch.linspace(low, high, c.n_bins - 1).exp())
        self.pitch_embedding = nn.Embedding(c.n_bins, channels)

    def phones(
        self, ids: Tensor, mask: Tensor | None, prompt: Tensor, prompt_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """ids (B, L), prompt (B, M, C) -> states (B, L, C) and ln(frames + 1) (B, L)."""
        style = mean_over_time(prompt, prompt_mask)
        x = self.encoder(self.enc_emb_tokens(ids), mask, style)
        return x, self.duration_predictor(x, mask, prompt, prompt_mask)

    def with_pitch(self, x: Tensor, f0: Tensor, mask: Tensor | None) -> Tensor:
        """Frames x (B, N, C) with the embedding of their F0 (B, N) in Hz: the condition of the diffusion (B, N, C)."""
        return masked(x + self.pitch_embedding(torch.bucketize(f0.contiguous(), self.pitch_bins)), mask)
