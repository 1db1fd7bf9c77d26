"""Distances of two mels, as sums over the valid frames of each item.

Wang et al.: "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE Transactions on Image
Processing 13 (2004), for the structural similarity. Letters: B batch, F bands, N frames.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, DEVIATION = 11, 1.5  # frames and bands of the Gaussian window, and its standard deviation
LIGHT, CONTRAST = 0.01**2, 0.03**2  # of the paper, for values whose range is 1
BIAS = 6.0  # added to both mels, as in the published training


def absolute_distance(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Absolute difference of two mels (B, F, N), summed where the mask (B, 1, N) is 1: (B)."""
    return ((made.float() - wanted).abs() * mask).sum((1, 2))


def structural_distance(made: Tensor, wanted: Tensor, mask: Tensor, *, bias: float = BIAS) -> Tensor:
    """One minus the structural similarity of two mels (B, F, N) in windows of 11 x 11, summed over valid frames: (B).

    Frames where the mask (B, 1, N) is 0 count as 0 in the windows of their neighbours, as the frames beyond the end of
    an item do. The result of an item does not depend on padding. It is computed in float32, also where the training is
    in bfloat16: a variance is a small difference of large numbers.
    """
    first, second = ((mel.float() + bias) * mask for mel in (made, wanted))
    moments = torch.stack([first, second, first * first, second * second, first * second], 1)  # (B, 5, F, N)
    offsets = torch.arange(WINDOW, device=made.device) - WINDOW // 2
    window = torch.exp(-offsets.square() / (2 * DEVIATION**2))
    window = window / window.sum()
    with torch.autocast(moments.device.type, enabled=False):
        moments = F.conv2d(moments, window.expand(5, 1, 1, WINDOW), padding=(0, WINDOW // 2), groups=5)
        moments = F.conv2d(moments, window.expand(5, 1, 1, WINDOW).mT, padding=(WINDOW // 2, 0), groups=5)
    mean, other, square, other_square, product = moments.unbind(1)
    variance, other_variance = square - mean.square(), other_square - other.square()
    similarity = (2 * mean * other + LIGHT) * (2 * (product - mean * other) + CONTRAST)
    similarity = similarity / ((mean.square() + other.square() + LIGHT) * (variance + other_variance + CONTRAST))
    return ((1 - similarity) * mask).sum((1, 2))
