"""The network of Vocos and of each branch of APNet2: ConvNeXt blocks at the rate of frames, mel to features.

Liu et al.: "A ConvNet for the 2020s", arXiv:2201.03545, in one dimension, as Vocos (arXiv:2306.00814, section 3.3) has
it. APNet2 (arXiv:2311.11545) has the second version's blocks: Woo et al.: "ConvNeXt V2", arXiv:2301.00808, with a
global response normalisation (section 3) in place of a factor for each channel.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Precision
from amphion_vocoders.models.convnext_packed import PackedBackbone
from amphion_vocoders.models.packed_module import PackedModule

KERNEL = 7  # of the first convolution and of the depthwise ones, frames
EPSILON = 1e-6  # of the layer norms and of the response normalisation
DEVIATION = 0.02  # of the initial weights. The authors cut the distribution at 2, which is 100 deviations: no cut


class Backbone(PackedModule):
    """Mel (B, F, N) -> features (B, N, C). Parameters have the names of the weights of Vocos' author.

    ``response_norm`` chooses the blocks of ConvNeXt's second version. Their normalisation sees all frames, so that a
    part of a mel does not give the same features as in the whole.
    """

    def __init__(
        self, n_mels: int, channels: int, inner_channels: int, layers: int, *, response_norm: bool = False
    ) -> None:
        super().__init__()
        self.embed = nn.Conv1d(n_mels, channels, KERNEL, padding=KERNEL // 2)
        self.norm = nn.LayerNorm(channels, EPSILON)
        factor = None if response_norm else 1 / layers
        self.convnext = nn.ModuleList(Block(channels, inner_channels, factor) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(channels, EPSILON)
        draw_weights(self)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, N, C)."""
        if self.uses_packed:
            return self.packed(mel)
        rows = self.norm(self.embed(mel).mT)
        for block in self.convnext:
            rows = block(rows)
        return self.final_layer_norm(rows)

    def for_inference(self, precision: Precision) -> None:
        """Reorder the weights where that is faster, on a CPU in float32; see ``convnext_packed.py``."""
        fits = precision == "float32" and self.embed.weight.device.type == "cpu" and PackedBackbone.available()
        self.packed = PackedBackbone(self) if fits else None


class Block(nn.Module):
    """ConvNeXt: depthwise convolution, layer norm, two linear layers; a residual around all.

    ``factor`` is the first value of a factor for each channel; None: the inner channels are normalised instead.
    """

    def __init__(self, channels: int, inner_channels: int, factor: float | None) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, EPSILON)
        self.pwconv1 = nn.Linear(channels, inner_channels)
        self.pwconv2 = nn.Linear(inner_channels, channels)
        self.grn = ResponseNorm(inner_channels) if factor is None else None
        self.gamma = None if factor is None else nn.Parameter(torch.full((channels,), factor))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        inner = F.gelu(self.pwconv1(self.norm(self.along_time(rows))))
        if self.grn is not None:
            return rows + self.pwconv2(self.grn(inner))
        return rows + self.gamma * self.pwconv2(inner)

    def along_time(self, rows: Tensor) -> Tensor:
        """The depthwise convolution (B, N, C) -> (B, N, C).

        On a CPU, the 2-D convolution has a kernel for channels that lie side by side, 10 times as fast as the 1-D
        convolution of transposed rows.
        """
        conv = self.dwconv
        if rows.device.type != "cpu":
            return conv(rows.mT).mT
        images, weight = rows.mT.unsqueeze(2), conv.weight.unsqueeze(2)  # (B, C, 1, N)
        return F.conv2d(images, weight, conv.bias, padding=(0, KERNEL // 2), groups=conv.groups).squeeze(2).mT


class ResponseNorm(nn.Module):
    """Global response normalisation: channels that are loud beside the others become louder; arXiv:2301.00808, sec. 3.

    At first it changes nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, channels))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        return rows * self.factors(rows) + self.beta

    def factors(self, rows: Tensor) -> Tensor:
        """(B, N, C) -> (B, 1, C): what multiplies each channel. A channel's loudness is its norm over all frames."""
        loudness = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=torch.float32)
        return 1 + self.gamma * (loudness / (loudness.mean(2, keepdim=True) + EPSILON))


def draw_weights(network: nn.Module) -> None:
    """Draw the first weights of all convolutions and linear layers in ``network``; their biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.normal_(module.weight, std=DEVIATION)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all have a bias here
