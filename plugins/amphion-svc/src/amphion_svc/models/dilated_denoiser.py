"""The denoiser of svc/diffwavenet and svc/diffcomo: a WaveNet over the frames of a noisy mel, which is not causal.

Kong et al.: "DiffWave", arXiv:2009.09761, figure 2a, in the form that Liu et al. use for singing: "DiffSVC",
arXiv:2105.13871, section 3. Parameters are named as in the published checkpoints of Amphion.
Letters: B batch, C channels, F mel bands, N frames, D channels of the condition.
"""

import math

import torch
from torch import Tensor, nn

from amphion_core.modules.masks import masked, without_needless_mask

LONGEST_PERIOD = 10000.0  # of the slowest sinusoid of a noise level, divided by 2 pi


class DilatedDenoiser(nn.Module):
    """Noisy mel (B, F, N), noise level (B) and condition (B, D, N) -> (B, F, N), the noise or the mel."""

    def __init__(
        self, *, bands: int, condition: int, channels: int, layers: int, cycle: int, sinusoids: int, hidden: int
    ) -> None:
        """``cycle`` layers double the dilation; then it is 1 again. ``sinusoids`` and ``hidden`` encode the level."""
        super().__init__()
        self.diff_encoder = _LevelEncoder(sinusoids, hidden, channels)
        self.neural_network = _Network(bands, condition, channels, layers, cycle)

    def forward(self, x: Tensor, level: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, F, N). ``mask`` (B, 1, N) is 1 where a frame is valid; None: everywhere.

        What lies in frames that are not valid does not change the others, and the result is 0 there.
        """
        needed = without_needless_mask(mask)
        return masked(self.neural_network(x, self.diff_encoder(level), condition, needed), needed)


class _LevelEncoder(nn.Module):
    """The diffusion step, or another number that states how much noise there is, as sinusoids and three layers."""

    def __init__(self, sinusoids: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.sinusoids = sinusoids
        self.out = nn.Sequential(
            nn.Linear(sinusoids, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, channels)
        )

    def forward(self, level: Tensor) -> Tensor:
        """(B) -> (B, C)."""
        half = self.sinusoids // 2
        frequencies = torch.exp(torch.arange(half, device=level.device) * (-math.log(LONGEST_PERIOD) / half))
        angles = level.float()[:, None] * frequencies
        return self.out(torch.cat([angles.cos(), angles.sin()], 1))


class _Network(nn.Module):
    """The residual layers between two convolutions."""

    def __init__(self, bands: int, condition: int, channels: int, layers: int, cycle: int) -> None:
        super().__init__()
        self.input = nn.Sequential(_convolution(bands, channels), nn.ReLU())
        self.residual_blocks = nn.ModuleList(
            _Layer(channels, condition, 2 ** (layer % cycle)) for layer in range(layers)
        )
        last = nn.Conv1d(channels, bands, 1)
        for tensor in last.parameters():  # an untrained network predicts 0
            nn.init.zeros_(tensor)
        self.out_proj = nn.Sequential(_convolution(channels, channels), nn.ReLU(), last)

    def forward(self, x: Tensor, level: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        """(B, F, N), (B, C), (B, D, N) -> (B, F, N)."""
        x = self.input(x)  # (B, C, N)
        total: Tensor | None = None
        for layer in self.residual_blocks:
            x, skip = layer(x, level, condition, mask)
            total = skip if total is None else total + skip
        assert total is not None  # there is at least one layer
        return self.out_proj(total / math.sqrt(len(self.residual_blocks)))


class _Layer(nn.Module):
    """A residual layer with a gated dilated convolution."""

    def __init__(self, channels: int, condition: int, dilation: int) -> None:
        super().__init__()
        self.gau = _Gate(channels, condition, dilation)
        self.out_proj = _convolution(channels, 2 * channels)

    def forward(self, x: Tensor, level: Tensor, condition: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, C, N) -> input of the next layer and skip connection, (B, C, N) each."""
        h = x + level[..., None]
        residual, skip = self.out_proj(self.gau(masked(h, mask), condition)).chunk(2, 1)
        return (x + residual) / math.sqrt(2), skip


class _Gate(nn.Module):
    """A dilated convolution plus the condition; one half passes through tanh and is multiplied by a gate."""

    def __init__(self, channels: int, condition: int, dilation: int) -> None:
        super().__init__()
        self.conv = _convolution(channels, 2 * channels, 3, dilation)
        self.context_proj = _convolution(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, C, N), (B, D, N) -> (B, C, N)."""
        signal, gate = (self.conv(x) + self.context_proj(condition)).chunk(2, 1)
        return torch.tanh(signal) * torch.sigmoid(gate)


def _convolution(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the number of frames and has unit gain before a ReLU when it is new."""
    layer = nn.Conv1d(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.kaiming_normal_(layer.weight)
    return layer
