"""The convolutions that score the wave folded at one period, shared by MPD and DAC's discriminators.

Kong, Kim, Bae: "HiFi-GAN", arXiv:2010.05646, section 2.3.
"""

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.modules.gpu_convolutions import ColumnConv2d
from amphion_core.modules.padding import reflect

SLOPE = 0.1


class PeriodJudge(nn.Module):
    """The discriminator of one period."""

    def __init__(self, period: int, channels: int, last_stride: int) -> None:
        super().__init__()
        self.period = period
        widths = (1, channels, 4 * channels, 16 * channels, 32 * channels, 32 * channels)
        strides = (3, 3, 3, 3, last_stride)
        self.convs = nn.ModuleList(
            weight_norm(ColumnConv2d(before, after, (5, 1), (stride, 1), (2, 0)))
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.conv_post = weight_norm(ColumnConv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, T) -> scores (B, S), feature maps."""
        x = fold(wave, self.period)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*features, x]


def fold(wave: Tensor, period: int) -> Tensor:
    """(B, 1, T) -> (B, 1, T', period): sample t stands at row t // period; the end is mirrored to fill the last row."""
    x = reflect(wave, 0, -wave.shape[2] % period)
    return x.view(*x.shape[:2], -1, period)
