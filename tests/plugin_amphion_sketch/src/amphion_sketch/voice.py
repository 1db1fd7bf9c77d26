"""SketchVoice: one vector for each utterance, the mean spectrum, in the role of a speaker embedding."""

import hashlib

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, FeatureExtractor

SIZE = 512  # samples of each piece whose spectrum is averaged


class SketchVoice(FeatureExtractor):
    """Mean log spectrum times fixed random weights: (B, T) at 16 kHz -> (B, dim)."""

    class Config(BaseConfig):
        """The size of the vector, and which weights it is computed with."""

        dim: int = Field(default=8, gt=0, description="values of the vector")
        weights_seed: int = Field(default=0, ge=0, description="seed of the fixed weights")

    config: Config
    sample_rate = 16000
    frame_shift = None

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.dim
        generator = torch.Generator().manual_seed(config.weights_seed)
        self.weights = torch.randn(SIZE // 2 + 1, config.dim, generator=generator) / 16

    @property
    def variant(self) -> str:
        """The checksum of the weights."""
        return hashlib.sha256(self.weights.numpy().tobytes()).hexdigest()[:12]

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, dim)."""
        sizes = [wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()
        rows = []
        for row, size in zip(wave, sizes):
            pieces = torch.nn.functional.pad(row[:size], (0, -size % SIZE)).view(-1, SIZE)
            rows.append(torch.fft.rfft(pieces).abs().clamp_min(1e-4).log().mean(0))
        return torch.stack(rows) @ self.weights.to(wave.device)
