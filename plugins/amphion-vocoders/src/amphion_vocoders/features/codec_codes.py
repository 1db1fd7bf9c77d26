"""Codes of any codec, as a cached feature: what language models of codes learn from, and what latents are made of."""

from functools import cached_property
from typing import Self

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Codec, CodecSource, FeatureExtractor, open_codec
from amphion_core.errors import RecipeError


class CodecCodes(FeatureExtractor):
    """(B, T) -> (B, K, N) of integers: the first ``n_codebooks`` codebooks, N = ceil(T / hop) frames.

    Silence fills up the last frame of a recording. Each item is encoded alone, since many codecs look ahead, and would
    see the padding of a batch.
    """

    class Config(BaseConfig):
        """The codec, and how many of its codebooks."""

        codec: CodecSource = Field(
            default="codec/encodec", description="card, weights folder or run of the codec; or an untrained codec"
        )
        n_codebooks: int | None = Field(default=None, gt=0, le=1024, description="first codebooks; null: all")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._device = "cpu"

    @property
    def codec(self) -> Codec:
        """The codec on the extractor's device. Raises WeightsError."""
        return open_codec(self.config.codec, self._device)

    @cached_property
    def variant(self) -> str:
        """The checksum of the codec's weights."""
        return self.codec.fingerprint()

    @property
    def sample_rate(self) -> int:  # type: ignore[override]
        """The codec's rate, Hz."""
        return self.codec.sample_rate

    @property
    def frame_shift(self) -> float:  # type: ignore[override]
        """Seconds between the codec's frames."""
        return self.codec.hop_length / self.codec.sample_rate

    @property
    def dim(self) -> int:  # type: ignore[override]
        """K. Raises RecipeError where the codec has fewer codebooks."""
        count = self.config.n_codebooks or self.codec.n_codebooks
        if count > self.codec.n_codebooks:
            raise RecipeError(
                f"n_codebooks: {count}, and the codec has {self.codec.n_codebooks}", hint="choose fewer codebooks"
            )
        return count

    def to(self, device: torch.device | str) -> Self:
        """Encode on ``device``."""
        self._device = str(device)
        return self

    def frames(self, samples: int) -> int:
        """N = ceil(samples / hop)."""
        return -(-samples // self.codec.hop_length)

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, K, N) of int16, or int32 for more than 32,768 entries; 0 after the end of an item."""
        sizes = [wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()
        kind = torch.int16 if self.codec.codebook_size <= 1 << 15 else torch.int32
        codes = torch.zeros(len(wave), self.dim, self.frames(wave.shape[1]), dtype=kind, device=wave.device)
        for row, samples, size in zip(codes, wave, sizes, strict=True):
            count = self.frames(size)
            filled = F.pad(samples[:size], (0, count * self.codec.hop_length - size))
            row[:, :count] = self.codec.encode(filled[None, None], self.dim).indices[:, 0].to(kind)
        return codes
