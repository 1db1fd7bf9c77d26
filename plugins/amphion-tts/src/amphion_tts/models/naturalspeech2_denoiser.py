"""The denoiser of NaturalSpeech 2: a WaveNet that finds the clean latents in noisy ones.

Shen et al.: "NaturalSpeech 2", arXiv:2304.09116, section 3.3 and figure 3. The voice comes in through tokens that every
third layer attends to; the result scales and shifts the layer (FiLM). Parameters are named as in Amphion's checkpoints.
Letters: B batch, C channels, N frames, Q prompt tokens.
"""

import math

import torch
from torch import Tensor, nn

from amphion_tts.models.naturalspeech2_prior import attend


def time_embedding(time: Tensor, channels: int) -> Tensor:
    """time (B) -> (B, channels): sines, then cosines, with wave lengths from 2 pi to 20,000 pi."""
    half = channels // 2
    steps = torch.arange(half, device=time.device, dtype=torch.float32)
    angles = time[:, None].float() * torch.exp(steps * (-math.log(10000) / (half - 1)))
    return torch.cat([angles.sin(), angles.cos()], 1)


class FiLM(nn.Module):
    """Scale and shift of a layer, from a condition of the same length."""

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.gain = nn.Linear(condition_channels, channels)
        self.bias = nn.Linear(condition_channels, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, N, C), condition (B, N, C') -> (B, N, C)."""
        return x * self.gain(condition) + self.bias(condition)


class ResidualLayer(nn.Module):
    """A gated dilated convolution with the diffusion time, the condition and, with ``attends``, the prompt."""

    def __init__(self, channels: int, n_heads: int, dilation: int, dropout: float, attends: bool) -> None:
        super().__init__()
        self.attends = attends
        self.dilated_conv = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.diffusion_proj = nn.Linear(channels, channels)
        self.cond_proj = nn.Conv1d(channels, 2 * channels, 1)
        self.out_proj = nn.Conv1d(channels, 2 * channels, 1)
        self.drop = nn.Dropout(dropout)
        if attends:
            self.attn = nn.MultiheadAttention(channels, n_heads, 0.1, batch_first=True)
            self.film = FiLM(2 * channels, channels)
            self.ln = nn.LayerNorm(channels)

    def forward(
        self, x: Tensor, mask: Tensor, condition: Tensor, time: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """x, condition (B, C, N), mask (B, 1, N), time (B, C), tokens (B, Q, C) -> x and the skip, (B, C, N) each."""
        y = (x + self.diffusion_proj(time)[..., None]) * mask
        h = self.dilated_conv(y) + self.cond_proj(condition)
        if self.attends:
            seen = attend(self.attn, self.ln(y.mT), tokens, None)
            h = self.film(h.mT, seen).mT
        gate, signal = h.chunk(2, 1)
        residual, skip = self.out_proj(self.drop(gate.sigmoid() * signal.tanh())).chunk(2, 1)
        return (x + residual) / math.sqrt(2) * mask, skip


class Denoiser(nn.Module):
    """Noisy latents, their time, and the condition -> the clean latents."""

    def __init__(
        self, latent_channels: int, channels: int, n_layers: int, n_heads: int, attention_every: int,
        dilation_cycle: int, dropout: float, time_scale: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.time_scale, self.channels = time_scale, channels
        self.in_proj = nn.Conv1d(latent_channels, channels, 1)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.Mish(), nn.Linear(4 * channels, channels))
        self.cond_ln = nn.LayerNorm(channels)
        self.layers = nn.ModuleList(
            ResidualLayer(channels, n_heads, 2 ** (index % dilation_cycle), dropout, index % attention_every == 0)
            for index in range(n_layers)
        )
        self.skip_proj = nn.Conv1d(channels, channels, 1)
        self.out_proj = nn.Conv1d(channels, latent_channels, 1)
        nn.init.zeros_(self.out_proj.weight)

    def forward(self, x: Tensor, mask: Tensor, condition: Tensor, time: Tensor, tokens: Tensor) -> Tensor:
        """x (B, D, N), mask (B, N), condition (B, N, C), time (B) from 0 to 1, tokens (B, Q, C) -> (B, D, N)."""
        valid = mask[:, None].to(x.dtype)
        condition = self.cond_ln(condition).mT
        x = torch.relu(self.in_proj(x)) * valid
        step = self.mlp(time_embedding(time * self.time_scale, self.channels))
        total = torch.zeros_like(x)
        for layer in self.layers:
            x, skip = layer(x, valid, condition, step, tokens)
            total = total + skip
        hidden = torch.relu(self.skip_proj(total / math.sqrt(len(self.layers))))
        return self.out_proj(hidden) * valid
