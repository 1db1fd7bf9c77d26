"""How a timbre vector acts on FACodec's frames: it scales and shifts their normalised channels.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2, conditional layer normalisation.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class TimbreNorm(nn.Module):
    """Frames (B, C, N) and timbre (B, C) -> (B, C, N)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2 * dim)
        nn.init.ones_(self.linear.bias[:dim])  # scale 1 and shift 0, as far as the timbre does not change them
        nn.init.zeros_(self.linear.bias[dim:])

    def forward(self, x: Tensor, timbre: Tensor) -> Tensor:
        """(B, C, N), (B, C) -> (B, C, N)."""
        scale, shift = self.linear(timbre)[..., None].chunk(2, 1)
        return F.layer_norm(x.mT, x.shape[1:2]).mT * scale + shift
