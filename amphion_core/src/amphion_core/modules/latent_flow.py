"""The latent of VITS: its posterior encoder, the coupling flow from posterior to prior, and their divergence.

Kim, Kong, Son: "Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech",
arXiv:2106.06103, section 2 and appendix B. Parameters are named as in the authors' checkpoints.
Letters: B batch, C channels, N frames. A mask is (B, 1, N), 1 where valid.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.modules.masks import masked, without_needless_mask
from amphion_core.modules.workers import run_pieces, threads_for_pieces

MIN_PIECE = 32  # frames of the flow that are worth a thread


def kl_loss(z_p: Tensor, logs_q: Tensor, m_p: Tensor, logs_p: Tensor, mask: Tensor) -> Tensor:
    """KL of posterior and prior at the sample z_p, summed over channels and frames; equation 4.

    Divide it by the number of frames in the step. It may be negative, because z_p is a sample.
    """
    z_p, logs_q, m_p, logs_p = z_p.float(), logs_q.float(), m_p.float(), logs_p.float()
    kl = logs_p - logs_q - 0.5 + 0.5 * (z_p - m_p).square() * torch.exp(-2 * logs_p)
    return (kl * mask).sum()


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
    if torch.compiler.is_compiling():
        return coupling.shift(kept, mask, condition)
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
