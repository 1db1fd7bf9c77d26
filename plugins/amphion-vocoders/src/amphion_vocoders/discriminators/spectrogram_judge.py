"""The convolutions that score a complex spectrogram, shared by MS-STFTD and MS-SB-CQTD.

Defossez et al.: "High Fidelity Neural Audio Compression", arXiv:2210.13438, section 3.4 (figure 2).
"""

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

DILATIONS = (1, 2, 4)  # along time


class SpectrogramJudge(nn.Module):
    """Real and imaginary parts (B, 2, N, bins) -> score map (B, 1, N, bins') and feature maps.

    The score is not among the feature maps. The first convolution has no weight norm, as published.
    """

    def __init__(self, filters: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.convs = nn.ModuleList([nn.Conv2d(2, filters, (3, 9), padding=(1, 4))])
        for dilation in DILATIONS:
            conv = nn.Conv2d(filters, filters, (3, 9), (1, 2), (dilation, 4), (dilation, 1))
            self.convs.append(weight_norm(conv))
        self.convs.append(weight_norm(nn.Conv2d(filters, filters, (3, 3), padding=1)))
        self.conv_post = weight_norm(nn.Conv2d(filters, 1, (3, 3), padding=1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 2, N, bins) -> scores (B, 1, N, bins'), feature maps."""
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), self.slope)
            features.append(x)
        return self.conv_post(x), features
