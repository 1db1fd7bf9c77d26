"""Words: a text encoder without weights, which gives every word a fixed random vector.

For captions of a small vocabulary, such as the names of classes, where the model of sounds learns itself what each word
means. A random vector of each word tells words apart; words of similar meaning are not similar.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, TextCondition, TextEncoder

WORD = re.compile(r"\w+(?:'\w+)?")
MOST = 128  # words of a caption that are read


class Words(TextEncoder):
    """Captions -> states (B, L, dim), one for each word; ``pooled`` (B, dim) is their mean. An empty one is zero."""

    class Config(BaseConfig):
        """The size of the vectors and of their table."""

        dim: int = Field(default=128, gt=0, le=4096, description="values of each vector")
        table: int = Field(
            default=4096, gt=0, le=1_000_000, description="different vectors; the checksum of a word chooses its own"
        )

    config: Config
    needs_weights = False
    max_tokens = MOST
    vectors: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = self.pooled_dim = config.dim
        vectors = torch.randn(config.table, config.dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("vectors", vectors, persistent=False)

    @classmethod
    def example_config(cls) -> Config:
        """Vectors of eight values."""
        return cls.Config(dim=8, table=64)

    def example_inputs(self) -> dict[str, Any]:
        """Two captions of two words and one word."""
        ids, mask = self.ids(["dog barks", "rain"])
        return {"ids": ids, "mask": mask}

    def token_count(self, text: str) -> int:
        """Words of a caption."""
        return len(WORD.findall(text))

    def ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions -> indices in the table (B, L) and mask (B, L)."""
        rows = [
            [zlib.crc32(word.encode("utf-8", "replace")) % self.config.table for word in WORD.findall(text.lower())]
            for text in texts
        ]
        rows = [row[:MOST] for row in rows]
        size = max([1, *map(len, rows)])
        ids = torch.tensor([row + [0] * (size - len(row)) for row in rows]).view(len(rows), size)
        mask = torch.tensor([[True] * len(row) + [False] * (size - len(row)) for row in rows]).view(len(rows), size)
        if len(rows):
            mask[:, 0] = True  # an empty caption has one state, which is zero
        return ids, mask

    def forward(self, ids: Tensor, mask: Tensor) -> TextCondition:
        """ids (B, L), mask (B, L) -> TextCondition."""
        states = self.vectors[ids] * mask[..., None]
        return TextCondition(states, mask, states.sum(1) / mask.sum(1, keepdim=True))

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextCondition:
        """B captions -> TextCondition. Case and punctuation do not matter."""
        ids, mask = (tensor.to(self.vectors.device) for tensor in self.ids(texts))
        found = self(ids, mask)
        empty = torch.tensor([not WORD.search(text) for text in texts], device=ids.device)
        return TextCondition(
            found.states.masked_fill(empty[:, None, None], 0),
            mask,
            None if found.pooled is None else found.pooled.masked_fill(empty[:, None], 0),
        )
