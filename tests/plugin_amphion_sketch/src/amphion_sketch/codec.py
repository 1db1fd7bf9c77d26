"""SketchCodec: a causal codec with residual vector quantisation, which also works piece by piece."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Codec, CodecStream, Codes

REACH = 2  # frames that each of the two convolutions looks back


class SketchCodec(Codec):
    """Wave (B, 1, T) -> codes (K, B, N) -> wave (B, 1, T), T a multiple of hop_length."""

    class Config(BaseConfig):
        """Rates and sizes."""

        sample_rate: int = Field(default=16000, gt=0, description="rate of the audio, Hz")
        hop_length: int = Field(default=160, gt=0, description="samples of each frame")
        channels: int = Field(default=16, gt=0, description="channels of the latents")
        codebooks: int = Field(default=3, gt=0, description="number of codebooks K")
        codebook_size: int = Field(default=32, gt=1, description="entries of each codebook")

    config: Config
    causal = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.hop_length = config.sample_rate, config.hop_length
        self.n_codebooks, self.codebook_size = config.codebooks, config.codebook_size
        self.analysis = nn.Linear(config.hop_length, config.channels)
        self.encoder = nn.Conv1d(config.channels, config.channels, REACH + 1)
        self.codebooks = nn.Parameter(torch.randn(config.codebooks, config.codebook_size, config.channels) * 0.3)
        self.decoder = nn.Conv1d(config.channels, config.channels, REACH + 1)
        self.synthesis = nn.Linear(config.channels, config.hop_length)

    @classmethod
    def example_config(cls) -> Config:
        """Frames of 16 samples."""
        return cls.Config(hop_length=16, channels=8, codebook_size=8)

    def example_inputs(self) -> dict[str, Any]:
        """Two waves of six frames."""
        return {"wave": torch.linspace(-0.5, 0.5, 12 * self.hop_length).sin().view(2, 1, -1)}

    def forward(self, wave: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, 1, T) -> the decoded wave, and the losses of each frame (B, N)."""
        latents = self.analyse(wave, None)
        _, chosen = self.quantise(latents, self.n_codebooks)
        losses = {
            "codebook": (chosen - latents.detach()).square().mean(1),
            "commitment": (chosen.detach() - latents).square().mean(1),
        }
        return self.synthesise(latents + (chosen - latents).detach(), None), losses

    @torch.inference_mode()
    def encode(self, wave: Tensor, n_codebooks: int | None = None) -> Codes:
        """(B, 1, T) -> indices (K, B, N)."""
        return Codes(self.quantise(self.analyse(wave, None), n_codebooks or self.n_codebooks)[0])

    @torch.inference_mode()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Latents (B, C, N) that a generator made -> (B, 1, T)."""
        return self.synthesise(latents, None)

    @torch.inference_mode()
    def latents(self, codes: Codes) -> Tensor:
        """Codes -> (B, C, N), the sums of the chosen entries."""
        rows = [F.embedding(indices, book) for indices, book in zip(codes.indices, self.codebooks)]
        return torch.stack(rows).sum(0).mT

    def stream(self) -> "SketchStream":
        """A coder that processes one long signal piece by piece."""
        return SketchStream(self)

    def analyse(self, wave: Tensor, past: Tensor | None) -> Tensor:
        """(B, 1, T) and the last REACH frames before it -> latents (B, C, N)."""
        frames = self.frames(wave)
        past = frames.new_zeros(len(frames), frames.shape[1], REACH) if past is None else past
        return self.encoder(torch.cat([past, frames], 2))

    def frames(self, wave: Tensor) -> Tensor:
        """(B, 1, T) -> (B, C, N), before the convolution."""
        return torch.tanh(self.analysis(wave.unflatten(2, (-1, self.hop_length))[:, 0])).mT

    def quantise(self, latents: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """(B, C, N) -> indices (K, B, N), and the chosen sums (B, C, N) with gradients to the codebooks."""
        rest, chosen, rows = latents.detach().mT, torch.zeros_like(latents.mT), []
        for book in self.codebooks[:count]:
            indices = (rest[..., None, :] - book.detach()).square().sum(-1).argmin(-1)
            entry = F.embedding(indices, book)
            rest, chosen = rest - entry.detach(), chosen + entry
            rows.append(indices)
        return torch.stack(rows), chosen.mT

    def synthesise(self, latents: Tensor, past: Tensor | None) -> Tensor:
        """Latents (B, C, N) and the last REACH before them -> (B, 1, T)."""
        past = latents.new_zeros(len(latents), latents.shape[1], REACH) if past is None else past
        hidden = torch.tanh(self.decoder(torch.cat([past, latents], 2)))
        return self.synthesis(hidden.mT).flatten(1)[:, None]


class SketchStream(CodecStream):
    """The codec on one long signal; it keeps the frames that the next piece looks back to."""

    def __init__(self, codec: SketchCodec) -> None:
        self.codec = codec
        self.frames: Tensor | None = None
        self.latents: Tensor | None = None

    @torch.inference_mode()
    def encode(self, wave: Tensor) -> Codes:
        """The next samples (B, 1, T) -> their codes."""
        frames = self.codec.frames(wave)
        latents = self.codec.analyse(wave, self.frames)
        self.frames = _last(self.frames, frames)
        return Codes(self.codec.quantise(latents, self.codec.n_codebooks)[0])

    @torch.inference_mode()
    def decode(self, codes: Codes) -> Tensor:
        """The next codes -> their samples (B, 1, T)."""
        latents = self.codec.latents(codes)
        wave = self.codec.synthesise(latents, self.latents)
        self.latents = _last(self.latents, latents)
        return wave


def _last(past: Tensor | None, frames: Tensor) -> Tensor:
    """The last REACH frames of all that has been seen."""
    before = frames.new_zeros(*frames.shape[:2], REACH) if past is None else past
    return torch.cat([before, frames], 2)[..., -REACH:]
