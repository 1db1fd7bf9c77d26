"""PatchGAN: judges whether small patches of a mel are real or decoded, by 2-D convolutions.

Isola et al.: "Image-to-Image Translation with Conditional Adversarial Networks", arXiv:1611.07004, section 3.2.2, as
the autoencoders of arXiv:2112.10752 are trained with it. Deviation: groups of channels are normalised, not batches, so
that the score of an item does not depend on the others of its batch.
"""

import math

from torch import Tensor, nn

KERNEL = 4
GROUPS = 8


class PatchDiscriminator(nn.Module):
    """Mels (B, 1, F, N) -> scores (B, 1, F', N'), one for each patch; with three layers, a patch is 70 x 70."""

    def __init__(self, channels: int, layers: int) -> None:
        """``channels`` are those of the first layer; each of ``layers`` halves the size and doubles the channels."""
        super().__init__()
        groups = math.gcd(GROUPS, channels)
        blocks: list[nn.Module] = [nn.Conv2d(1, channels, KERNEL, 2, 1), nn.LeakyReLU(0.2)]
        size = channels
        for layer in range(1, layers + 1):
            wider, stride = channels * min(2**layer, 8), 2 if layer < layers else 1
            blocks += [
                nn.Conv2d(size, wider, KERNEL, stride, 1, bias=False), nn.GroupNorm(groups, wider), nn.LeakyReLU(0.2),
            ]  # fmt: skip
            size = wider
        self.layers = nn.Sequential(*blocks, nn.Conv2d(size, 1, KERNEL, 1, 1))
        for module in self.layers:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, 1, F, N) -> (B, 1, F', N')."""
        found: Tensor = self.layers(mel)
        return found
