"""F0 as the condition encoder of the SVC models reads it: numbers of classes on the mel scale."""

import math

import torch
from torch import Tensor

LOW, HIGH = 50.0, 1100.0  # Hz, the F0 of the first class and of the last
CLASSES = 256  # class 0 is never used; class 1 also stands for frames without voice


def coarse_f0(f0: Tensor) -> Tensor:
    """F0 in Hz (...), 0 where unvoiced, -> classes 1 to 255 (...), int64. Halves are rounded up.

    >>> coarse_f0(torch.tensor([0.0, 50.0, 80.0, 1100.0]))
    tensor([  1,   1,  12, 255])
    """
    return (fine_f0(f0) + 0.5).floor().clamp(1, CLASSES - 1).long()


def fine_f0(f0: Tensor) -> Tensor:
    """F0 in Hz (...), 0 where unvoiced, -> its place among the classes, 1.0 to 255.0 (...), not rounded.

    The mel scale is m = 1127 ln(1 + f / 700). Source: the published SVC models of Amphion.

    >>> fine_f0(torch.tensor([0.0, 50.0, 80.0, 1100.0]))
    tensor([  1.0000,   1.0000,  11.5733, 255.0000])
    """
    low, high = (1127 * math.log1p(hertz / 700) for hertz in (LOW, HIGH))
    mel = 1127 * torch.log1p(f0 / 700)
    scaled = (mel - low) * (CLASSES - 2) / (high - low) + 1
    return torch.where(f0 > 0, scaled, 1.0).clamp(1, CLASSES - 1)
