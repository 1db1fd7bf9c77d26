"""FACodec's redecoder: codes and the timbre of another voice to a wave, for voice conversion.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100. Published with the codec; codes are read through their own embeddings,
and prosody is adapted to the target's timbre. Parameters have the names of the published checkpoint.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from amphion_vocoders.models.facodec_layers import WaveDecoder
from amphion_vocoders.models.facodec_timbre import TimbreNorm
from amphion_vocoders.models.facodec_transformer import FrameTransformer


class Redecoder(nn.Module):
    """Codes (K, B, N) and a timbre vector (B, C) -> wave (B, 1, T)."""

    def __init__(
        self,
        prosody: FrameTransformer,
        decoder: WaveDecoder,
        *,
        dim: int,
        books: Sequence[int],
        size: int,
    ) -> None:
        """``books`` are the numbers of codebooks of prosody, content and residual."""
        super().__init__()
        self.books = list(books)
        self.prosody_embs, self.content_embs, self.residual_embs = (
            nn.ModuleList(nn.Embedding(size, dim) for _ in range(count)) for count in books
        )
        self.timbre_cond_prosody_enc = prosody
        self.timbre = TimbreNorm(dim)
        self.model = decoder

    def vectors(self, indices: Tensor, speaker: Tensor, *, residual: bool = False) -> Tensor:
        """(K, B, N), (B, C) -> (B, C, N). The ``residual`` keeps much of the voice of the source, so it is left out."""
        p, c, r = self.books
        prosody, content = indices[:p], indices[p : p + c]
        x = self.timbre_cond_prosody_enc(_sum(self.prosody_embs, prosody), speaker)
        x = x + _sum(self.content_embs, content)
        return (x + _sum(self.residual_embs, indices[p + c : p + c + r]) if residual else x).mT

    def latents(self, indices: Tensor, speaker: Tensor) -> Tensor:
        """(K, B, N), (B, C) -> the frames that ``model`` makes a wave of, (B, C, N)."""
        return self.timbre(self.vectors(indices, speaker), speaker)

    def forward(self, indices: Tensor, speaker: Tensor) -> Tensor:
        """(K, B, N), (B, C) -> (B, 1, T)."""
        return self.model(self.latents(indices, speaker))


def _sum(tables: nn.ModuleList, indices: Tensor) -> Tensor:
    return torch.stack([table(row) for table, row in zip(tables, indices, strict=True)]).sum(0)
