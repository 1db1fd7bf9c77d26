"""The text encoder of VITS: embedding, transformer with relative attention, and the statistics of the prior.

Kim, Kong, Son, arXiv:2106.06103, section 2.2.1 and appendix B. Parameters are named as in the authors' checkpoints.
"""

import math

from torch import Tensor, nn

from amphion_core.modules.relative_attention import Transformer


class TextEncoder(nn.Module):
    """Token ids -> hidden states, and mean and log deviation of the prior."""

    def __init__(
        self, vocabulary: int, out_channels: int, channels: int, width: int, n_heads: int, n_layers: int, kernel: int,
        window: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.scale = math.sqrt(channels)
        self.emb = nn.Embedding(vocabulary, channels)
        nn.init.normal_(self.emb.weight, 0.0, channels**-0.5)
        self.encoder = Transformer(channels, width, n_heads, n_layers, kernel, window, dropout)
        self.proj = nn.Conv1d(channels, 2 * out_channels, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ids (B, L) -> hidden (B, C, L), mean and log deviation (B, inter, L)."""
        x = self.encoder((self.emb(ids) * self.scale).mT, mask)
        mean, log_deviation = (self.proj(x) * mask).chunk(2, 1)
        return x, mean, log_deviation
