"""FACodec: speech at 16 kHz as codes of prosody, content and residual, and one vector of timbre.

Ju, Wang, Shen et al.: "NaturalSpeech 3: Zero-Shot Speech Synthesis with Factorized Codec and Diffusion Models",
arXiv:2403.03100, section 3.2. The second published version quantises prosody of a mel instead of the latents. The
redecoder, published beside it, speaks the codes of one voice with the timbre of another.
Layouts read: "amphion" (ns3_facodec_encoder.bin, with the other files given by name; see ``facodec_layouts.py``).
Deviations: positions are those of the frames, not those of published weights, see ``facodec_transformer.py``. More than
``window`` frames are attended to window by window, and the timbre is the mean over all frames.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import Codes, Mel, MelConfig
from amphion_core.config import validate
from amphion_core.errors import AudioError, DataError
from amphion_core.features.mel import mel_spectrogram
from amphion_vocoders.models.facodec_branches import BranchedCodec, BranchedConfig
from amphion_vocoders.models.facodec_heads import Factors
from amphion_vocoders.models.facodec_layers import WaveDecoder, WaveEncoder
from amphion_vocoders.models.facodec_pieces import with_context
from amphion_vocoders.models.facodec_redecoder import Redecoder
from amphion_vocoders.models.facodec_timbre import TimbreNorm
from amphion_vocoders.models.facodec_transformer import FrameTransformer, Positions
from amphion_vocoders.quantization import ResidualQuantizer

PIECE = 400  # frames that are coded at a time, at least: 5 seconds as published


class FACodec(BranchedCodec):
    """Wave (B, 1, T) -> codes (K, B, N) with the extra stream ``speaker`` (B, C) -> wave (B, 1, T)."""

    class Config(BranchedConfig):
        """The defaults are the published network's, without the predictors that only training needs."""

        mel: Mel = Field(
            default=MelConfig.preset("facodec_prosody_16k"),
            description="rate and hop of the codec; also the mel that prosody is quantised from, if it is",
        )
        channels: int = Field(default=32, gt=0, le=4096, description="channels of the first layer; stages double them")
        strides: tuple[Annotated[int, Field(ge=2)], ...] = Field(
            default=(2, 4, 5, 5), min_length=1, description="factor of each stage; their product is the hop, in samples"
        )
        dim: int = Field(default=256, gt=0, le=8192, multiple_of=2, description="channels C of latents and of timbre")
        decoder_channels: int = Field(
            default=1024,
            gt=0,
            le=16384,
            description="channels of the decoder before its first stage; stages halve them",
        )
        mel_prosody: bool = Field(
            default=False, description="quantise prosody of the lowest mel bands, as the second published version"
        )
        prosody_bands: int = Field(default=20, gt=0, description="number of these mel bands")
        layers: int = Field(default=4, gt=0, le=256, description="layers of each transformer")
        heads: int = Field(default=4, gt=0, le=256, description="attention heads of each transformer")
        inner_channels: int = Field(default=1024, gt=0, le=1 << 16, description="width of their feed-forward layers")
        kernel: int = Field(default=5, gt=0, le=99, description="kernel of these layers, frames; odd")
        dropout: float = Field(default=0.1, ge=0, lt=1, description="dropout of the transformers")
        positions: Positions = Field(
            default="time", description="positions in the transformers; batch_index: as published weights need them"
        )
        window: int = Field(default=2400, gt=0, description="frames that a transformer attends to at once")
        redecoder_channels: int = Field(
            default=0, ge=0, le=16384, description="channels of the redecoder before its first stage; 0: no redecoder"
        )

        @model_validator(mode="after")
        def _sizes_agree(self) -> Self:
            if (hop := math.prod(self.strides)) != self.mel.hop_length:
                raise ValueError(f"strides: their product {hop} is not mel.hop_length {self.mel.hop_length}")
            if self.mel.padding != "same":
                raise ValueError("mel.padding: same is needed, so that there is one frame of the mel for each code")
            if self.dim % self.heads:
                raise ValueError(f"heads: {self.heads} does not divide dim {self.dim}")
            if not self.kernel % 2:
                raise ValueError(f"kernel: {self.kernel} is even")
            for name in ("decoder_channels", "redecoder_channels"):
                if getattr(self, name) % 2 ** len(self.strides):
                    raise ValueError(f"{name}: {getattr(self, name)} cannot be halved {len(self.strides)} times")
            if self.prosody_bands > self.mel.n_mels:
                raise ValueError(f"prosody_bands: {self.prosody_bands} of {self.mel.n_mels} bands")
            return self

    config: Config
    decoder: WaveDecoder
    layouts = ("amphion",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        self.sample_rate, self.hop_length = c.mel.sample_rate, c.mel.hop_length
        self.n_codebooks, self.codebook_size = sum(c.books), c.book_size
        up = tuple(reversed(c.strides))
        self.encoder = WaveEncoder(c.channels, c.strides, c.dim)
        self.quantizer = nn.ModuleList(c.quantizer(count, c.dim) for count in c.books)
        if c.mel_prosody:
            self.melspec_linear = nn.Linear(c.prosody_bands, c.dim)
            self.melspec_encoder = _transformer(c)
        self.timbre_encoder = _transformer(c)
        self.timbre = TimbreNorm(c.dim)
        self.decoder = WaveDecoder(c.dim, c.decoder_channels, up)
        self.heads = c.heads_for(c.dim)
        self.redecoder: Redecoder | None = None
        if c.redecoder_channels:
            decoder = WaveDecoder(c.dim, c.redecoder_channels, up)
            prosody = _transformer(c, condition=c.dim)
            self.redecoder = Redecoder(prosody, decoder, dim=c.dim, books=c.books, size=c.book_size)

    @classmethod
    def example_config(cls) -> Config:
        """A hop of 4 samples, 8 channels, without redecoder and predictors."""
        mel = MelConfig.preset("facodec_prosody_16k").replace(hop_length=4, win_length=16, n_fft=16, n_mels=8)
        return cls.Config(
            mel=mel, channels=2, strides=(2, 2), dim=8, decoder_channels=8, content_books=1, residual_books=1,
            book_size=8, code_dim=4, prosody_bands=4, layers=1, heads=2, inner_channels=8, kernel=3, window=64,
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two waves of twelve frames."""
        return {"wave": torch.linspace(-9, 9, 24 * self.hop_length).sin().view(2, 1, -1) / 2}

    def forward(self, wave: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, 1, T) -> the decoded wave (B, 1, T), and the losses of each frame (B, N)."""
        factors = self.factorise(wave)
        losses = {"commitment": factors.commitment.sum(0), "codebook": factors.codebook.sum(0)}
        return self.synthesise(factors)[..., : wave.shape[2]], losses

    def factorise(self, wave: Tensor) -> Factors:
        """(B, 1, T) -> Factors with gradients, N = ceil(T / hop_length). Raises AudioError for another shape."""
        self._check(wave)
        wave = nn.functional.pad(wave, (0, -wave.shape[2] % self.hop_length))
        x = self.encoder(wave)
        prosody, content, residual = self.quantizers
        p = prosody(self._of_bands(self._bands(wave)) if self.config.mel_prosody else x)
        c = content(x)
        r = residual(x - (p.latents + c.latents).detach())
        indices, commitment, codebook = (
            torch.cat([getattr(part, name) for part in (p, c, r)]) for name in ("indices", "commitment", "codebook")
        )
        timbre = self.timbre_encoder(x.mT).mean(1)
        return Factors((p.latents, c.latents, r.latents), indices, timbre, commitment, codebook)

    def synthesise(self, factors: Factors) -> Tensor:
        """Factors -> (B, 1, T)."""
        return self.decoder(self.mix(factors))

    def encode(self, wave: Tensor, n_codebooks: int | None = None) -> Codes:
        """(B, 1, T) -> indices (K, B, N), N = ceil(T / hop_length), and the timbre ``speaker`` (B, C).

        Codebooks come in the order prosody, content, residual. Raises AudioError for another shape.
        """
        self._check(wave)
        return self.encode_pieces([wave], n_codebooks)

    @torch.no_grad()
    def encode_pieces(self, pieces: Iterable[Tensor], n_codebooks: int | None = None) -> Codes:
        """Consecutive pieces (B, 1, T) of a long signal -> the Codes of the whole, in memory for some seconds of audio.

        The end is filled with zeros to a whole frame. Raises AudioError for a signal without samples.
        """
        found: list[Tensor] = []
        timbre: list[Tensor] = []
        for piece in with_context(pieces, self._piece, self.encoder.reach, self.hop_length):
            with self.autocast():
                x = piece.own(self.encoder(piece.values))
                prosody = self._of_bands(piece.own(self._bands(piece.values))) if self.config.mel_prosody else x
                timbre.append(self.timbre_encoder(x.mT).sum(1).float())
            found.append(self._indices(prosody, x))
        if not found:
            raise AudioError("there are no samples to encode", hint="give a recording that is not empty")
        indices = torch.cat(found, 2)
        return Codes(indices[:n_codebooks], {"speaker": torch.stack(timbre).sum(0) / indices.shape[2]})

    @torch.no_grad()
    def latents(self, codes: Codes) -> Tensor:
        """Codes with their timbre -> (B, C, N), the frames the decoder reads. Raises DataError without a timbre."""
        groups = zip(self.quantizers, torch.split(codes.indices, self._books_of(len(codes.indices))), strict=False)
        x = torch.stack([quantizer.decode(indices) for quantizer, indices in groups]).sum(0)
        return self.timbre(x, self._speaker_of(codes))

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """(B, C, N) -> (B, 1, T), T = N * hop_length."""
        return torch.cat(list(self._decoded(self.decoder, [latents])), 2)

    def decode_pieces(self, codes: Codes) -> Iterator[Tensor]:
        """The Codes of a long signal -> its samples, in pieces (B, 1, T) of some seconds."""
        return self._decoded(self.decoder, (self.latents(part) for part in self._parts(codes)))

    @torch.no_grad()
    def convert(self, codes: Codes, speaker: Tensor, *, swap: bool = False) -> Tensor:
        """Codes, and the timbre (B, C) of another voice -> that voice saying the same, (B, 1, T), by the redecoder.

        With ``swap``, and without a redecoder, the decoder decodes the codes with the other timbre.
        """
        return torch.cat(list(self.convert_pieces(codes, speaker, swap=swap)), 2)

    def convert_pieces(self, codes: Codes, speaker: Tensor, *, swap: bool = False) -> Iterator[Tensor]:
        """As `convert`, for the Codes of a long signal: its samples in pieces (B, 1, T) of some seconds.

        The redecoder needs the codebooks of prosody and content. Raises DataError where there are fewer.
        """
        codes = Codes(codes.indices, {"speaker": speaker})
        if self.redecoder is None or swap:
            return self.decode_pieces(codes)
        if len(codes.indices) < (needed := sum(self.config.books[:2])):
            raise DataError(f"the redecoder needs {needed} codebooks, got {len(codes.indices)}", hint="encode with all")
        latents = (self._redecoder_latents(part.indices, speaker) for part in self._parts(codes))
        return self._decoded(self.redecoder.model, latents)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """Published files as (Config, state dict). Raises WeightsError. See ``facodec_layouts.py``."""
        from amphion_vocoders.models.facodec_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors

    @property
    def quantizers(self) -> tuple[ResidualQuantizer, ResidualQuantizer, ResidualQuantizer]:
        """Those of prosody, content and residual."""
        return tuple(self.quantizer)  # type: ignore[return-value]  # ModuleList hides the type of its modules

    def _books_of(self, count: int) -> list[int]:
        """How many of the first ``count`` codebooks belong to prosody, content and residual; without zeros."""
        sizes: list[int] = []
        for books in self.config.books:
            sizes.append(min(books, count - sum(sizes)))
        return [size for size in sizes if size > 0]

    @property
    def _piece(self) -> int:
        """Frames that are coded at a time: whole windows of the transformers, and some seconds."""
        return self.config.window * -(-PIECE // self.config.window)

    def _parts(self, codes: Codes) -> Iterator[Codes]:
        """Codes of consecutive pieces."""
        for start in range(0, codes.indices.shape[2], self._piece):
            yield Codes(codes.indices[..., start : start + self._piece], codes.extra)

    @torch.no_grad()
    def _redecoder_latents(self, indices: Tensor, speaker: Tensor) -> Tensor:
        assert self.redecoder is not None
        with self.autocast():
            return self.redecoder.latents(indices, speaker)

    def _decoded(self, decoder: WaveDecoder, latents: Iterable[Tensor]) -> Iterator[Tensor]:
        """Consecutive latents (B, C, n) -> consecutive waves (B, 1, t)."""
        for piece in with_context(latents, self._piece, decoder.reach, 1):
            with torch.no_grad(), self.autocast():
                made = decoder(piece.values).float()
            yield piece.own(made, self.hop_length)

    def _indices(self, prosody: Tensor, x: Tensor) -> Tensor:
        """What the quantisers of prosody and of content read, (B, C, N) each -> (K, B, N)."""
        first, second, third = self.quantizers
        p, c = first.encode(prosody), second.encode(x)
        return torch.cat([p, c, third.encode(x.float() - (first.decode(p) + second.decode(c)))])

    def _bands(self, wave: Tensor) -> Tensor:
        """(B, 1, T) -> the lowest bands of the mel, (B, bands, N)."""
        return mel_spectrogram(wave[:, 0], self.config.mel)[:, : self.config.prosody_bands]

    def _of_bands(self, bands: Tensor) -> Tensor:
        """(B, bands, N) -> (B, C, N)."""
        return self.melspec_encoder(self.melspec_linear(bands.mT)).mT

    def _speaker_of(self, codes: Codes) -> Tensor:
        if codes.extra is None or "speaker" not in codes.extra:
            raise DataError("these codes have no timbre", hint="encode with FACodec, which stores it as `speaker`")
        return codes.extra["speaker"]

    def _check(self, wave: Tensor) -> None:
        """Raise AudioError for another shape than (B, 1, T)."""
        if wave.ndim != 3 or wave.shape[1] != 1 or not wave.shape[2]:
            raise AudioError(
                f"a wave (B, 1, T) is needed, got {tuple(wave.shape)}", hint="wave[None, None] of one signal"
            )


def _transformer(c: FACodec.Config, condition: int | None = None) -> FrameTransformer:
    return FrameTransformer(
        c.dim, layers=c.layers, heads=c.heads, inner=c.inner_channels, kernel=c.kernel, dropout=c.dropout,
        positions=c.positions, window=c.window, condition_dim=condition,
    )  # fmt: skip
