"""The acoustic encoders of TransformerSVC and DiffComoSVC: condition (B, C, N) -> (B, F, N), all frames at once.

Two kinds are published. "conformer" is, in spite of its name, the encoder of VITS with relative attention and a 1x1
convolution (10,699,876 parameters at the published sizes); "transformer" is the encoder of Vaswani et al.,
"Attention Is All You Need", arXiv:1706.03762, with sines as positions (13,047,652). Parameters are named as published.
"""

import torch
from torch import Tensor, nn

from amphion_core.modules.relative_attention import Transformer

KERNEL, WINDOW, EPSILON = 3, 4, 1e-4  # of the published conformer; the norms of VITS have 1e-5
FEED_FORWARD = 2048  # channels between the two layers of a block of the published transformer


class Conformer(nn.Module):
    """Encoder with relative attention, then a projection: (B, C, N) -> (B, F, N)."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, out_channels: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = channels, width, n_heads, n_layers, KERNEL, WINDOW
        self.conformer_encoder = Transformer(*sizes, dropout, epsilon=EPSILON)
        self.projection = nn.Conv1d(channels, out_channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, C, N), mask (B, 1, N) -> (B, F, N), 0 where the mask is 0."""
        return self.projection(self.conformer_encoder(x, mask)) * mask


class SineTransformer(nn.Module):
    """Transformer encoder with sines as positions, then a projection: (B, C, N) -> (B, F, N)."""

    def __init__(
        self, channels: int, width: int, n_heads: int, n_layers: int, out_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(channels, n_heads, width, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.output_mlp = nn.Linear(channels, out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, C, N), mask (B, 1, N) -> (B, F, N), 0 where the mask is 0."""
        x = self.drop(x.mT + positions(x.shape[2], x.shape[1], x.device))
        x = self.transformer_encoder(x, src_key_padding_mask=mask[:, 0] == 0)
        return self.output_mlp(x).mT * mask


def positions(count: int, channels: int, device: torch.device) -> Tensor:
    """The table of positions (N, C): sines on the even channels, cosines on the odd ones (section 3.5 of the paper)."""
    rate = 10000.0 ** (-torch.arange(0, channels, 2, device=device) / channels)
    angles = torch.arange(count, device=device)[:, None] * rate
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :channels]
