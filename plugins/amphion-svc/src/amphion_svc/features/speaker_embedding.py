"""Who sings: one vector for each recording, from any speaker embedding that is installed.

A converter that reads vectors converts to any voice of which there is a recording; one that reads a table of names
converts to the singers it was trained on. The embeddings are components of their own, most of them in amphion-eval.
"""

from functools import cached_property

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, EmbeddingPart, FeatureExtractor
from amphion_core.errors import AudioError, DataError


class SpeakerEmbedding(FeatureExtractor):
    """(B, T) -> (B, dim): the mean of the embedding's windows with unit length; 0 for digital silence."""

    frame_shift = None

    class Config(BaseConfig):
        """The speaker embedding."""

        embedding: EmbeddingPart = Field(
            default="resemblyzer",
            validate_default=True,
            description="embedding of speakers: resemblyzer, wavlm_xvector, ecapa, rawnet3, ...",
        )

    config: Config

    @cached_property
    def _embedding(self) -> AudioEmbedding:
        found: AudioEmbedding = self.config.embedding.build()
        return found

    @property
    def sample_rate(self) -> int:  # type: ignore[override]
        """The rate that the embedding expects, Hz."""
        return self._embedding.sample_rate

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Channels of the embedding; some embeddings load their network for it."""
        return self._embedding.dim

    @property
    def variant(self) -> str:
        """What the embedding says of its weights."""
        return self._embedding.variant

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, dim), on the wave's device; with ``lengths`` (B), in samples, of each item's own samples.

        Raises AudioError for audio that is too short for the embedding, MissingPackage, and WeightsError.
        """
        result = wave.new_zeros(len(wave), self.dim, dtype=torch.float32)
        for row, item, length in zip(result, wave, [None] * len(wave) if lengths is None else lengths, strict=True):
            samples = item[: None if length is None else int(length)].float()
            if not samples.any():
                continue
            try:
                vectors = self._embedding.embed(Audio(samples.cpu().numpy(), self.sample_rate)).vectors
            except DataError as error:
                raise AudioError(error.message, hint=error.hint) from error
            row[:] = torch.from_numpy(vectors).float().mean(0)
        return torch.nn.functional.normalize(result)
