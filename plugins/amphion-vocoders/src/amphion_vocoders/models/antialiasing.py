"""The anti-aliased periodic activation of BigVGAN: twice the rate, Snake, and back to the rate.

Lee et al.: "BigVGAN: A Universal Neural Vocoder with Large-Scale Training", arXiv:2206.04658, section 2.3. A nonlinear
function of a sampled signal makes frequencies above half the rate, which would be mirrored into the audible band. At
twice the rate most of them fit, and the lowpass filter on the way back removes them.
Snake: Ziyin et al.: "Neural Networks Fail to Learn Periodic Functions and How to Fix It", arXiv:2006.08195.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_vocoders.models.lowpass import TAPS, lowpass

REACH = 6  # samples on either side that an output depends on: 3 through each filter
SMALLEST = 1e-9  # added to the divisor of Snake, as published
FEW = 1 << 16  # values of a signal, for which starting the compiled loops takes longer than they save


class AntiAliasedSnake(nn.Module):
    """Snake of each channel at twice the rate, (B, C, T) -> (B, C, T): u + sin^2(a u) / (b + 1e-9).

    With ``beta``, b is a second parameter (SnakeBeta); otherwise b = a. ``log_scale``: the parameters are the
    logarithms of a and b. On a CPU with numba one compiled loop computes it, also with gradients; the torch operations
    of `plain` do the same otherwise, and for signals of few values.
    """

    def __init__(self, channels: int, *, beta: bool, log_scale: bool) -> None:
        super().__init__()
        self.log_scale = log_scale
        self.act = nn.Module()  # the name in published checkpoints
        start = torch.zeros if log_scale else torch.ones
        self.act.alpha = nn.Parameter(start(channels))
        if beta:
            self.act.beta = nn.Parameter(start(channels))

    def factors(self) -> tuple[Tensor, Tensor]:
        """The frequency a (C), and the amplitude 1 / (b + 1e-9) (C)."""
        alpha: Any = self.act.alpha
        beta: Any = getattr(self.act, "beta", alpha)
        a, b = (alpha.exp(), beta.exp()) if self.log_scale else (alpha, beta)
        return a, 1 / (b + SMALLEST)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T), T at least 1."""
        fits = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
        fits = fits and not torch.compiler.is_compiling()
        if fits and x.numel() < FEW:
            with torch.autocast("cpu", enabled=False):  # in float32, as the loops
                return plain(x.float(), *self.factors()).to(x.dtype)
        kernels = compiled() if fits else None
        if kernels is None:
            return plain(x, *self.factors())
        result: Tensor = kernels.activation(x.float(), *self.factors())
        return result.to(x.dtype)  # in bfloat16 the loop and both conversions take less time than torch operations


@cache
def compiled() -> Any:
    """The module with the compiled loops; None where numba is not installed."""
    if find_spec("numba") is None:
        return None
    from amphion_vocoders.models import antialiasing_compiled

    return antialiasing_compiled


def plain(x: Tensor, a: Tensor, amplitude: Tensor) -> Tensor:
    """The activation in torch operations: (B, C, T), (C), (C) -> (B, C, T)."""
    u = upsample(x)
    return downsample(u + amplitude[:, None] * torch.sin(u * a[:, None]) ** 2)


def upsample(x: Tensor) -> Tensor:
    """Twice the rate: (B, C, T) -> (B, C, 2 T). The first and the last sample are repeated at the ends."""
    count = x.shape[1]
    weight = 2 * lowpass(x.device, x.dtype).expand(count, 1, TAPS)
    around = TAPS // 2 - 1
    y = F.conv_transpose1d(_extended(x, around, around), weight, stride=2, groups=count)
    return y[..., 3 * around : 3 * around + 2 * x.shape[2]]


def downsample(x: Tensor) -> Tensor:
    """Half the rate: (B, C, T) -> (B, C, ceil(T / 2)). The first and the last sample are repeated at the ends."""
    count = x.shape[1]
    weight = lowpass(x.device, x.dtype).expand(count, 1, TAPS)
    return F.conv1d(_extended(x, TAPS // 2 - 1, TAPS // 2), weight, stride=2, groups=count)


def _extended(x: Tensor, before: int, after: int) -> Tensor:
    """``x`` with copies of its first and last sample. The gradient of torch's own padding is not deterministic."""
    return torch.cat([x[..., :1].expand(-1, -1, before), x, x[..., -1:].expand(-1, -1, after)], -1)
