"""SketchWords: a text encoder without parameters, which gives each word a fixed random vector."""

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, TextCondition, TextEncoder
from amphion_sketch.batches import valid

TABLE = 1000  # vectors; the checksum of a word chooses one


class SketchWords(TextEncoder):
    """Captions -> states (B, L, dim), one for each word, and their mean."""

    class Config(BaseConfig):
        """The size of the vectors."""

        dim: int = Field(default=8, gt=0, description="values of each vector")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = self.pooled_dim = config.dim
        vectors = torch.randn(TABLE, config.dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("vectors", vectors)

    @classmethod
    def example_config(cls) -> Config:
        """Four values."""
        return cls.Config(dim=4)

    def example_inputs(self) -> dict[str, Any]:
        """Two captions of two words and one word."""
        ids, lengths = self.word_ids(["a dog", "rain"])
        return {"ids": ids, "lengths": lengths}

    @staticmethod
    def word_ids(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions -> ids (B, L) and lengths (B)."""
        rows = [[zlib.crc32(word.encode()) % TABLE for word in text.lower().split()] for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        size = max(1, *map(len, rows)) if rows else 1
        return torch.tensor([row + [0] * (size - len(row)) for row in rows]), lengths

    def forward(self, ids: Tensor, lengths: Tensor) -> TextCondition:
        """ids (B, L), lengths (B) -> TextCondition."""
        mask = valid(lengths, ids.shape[1])[:, 0]
        states = self.vectors[ids] * mask[..., None]
        return TextCondition(states, mask, states.sum(1) / lengths.clamp_min(1)[:, None])

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextCondition:
        """B captions -> TextCondition."""
        ids, lengths = self.word_ids(texts)
        return self(ids.to(self.vectors.device), lengths.to(self.vectors.device))
