"""FACodec at 24 kHz: the community's trainable variant of NaturalSpeech 3's codec.

After Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2, with DAC's encoder and decoder (arXiv:2306.06546).
Prosody is quantised from the lowest bands of a mel, content and residual from the latents; a timbre vector from the mel
scales and shifts their normalised sum. It shares neither rate nor weights with ``codec/facodec``.
Layout read: "plachtaa", a file {"net": {"encoder", "quantizer", "decoder", ...}}; predictors are left out.
Deviations: more than ``window`` frames of the mel are attended to window by window.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Codes, Mel, MelConfig
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.config import validate
from amphion_core.errors import AudioError, DataError, WeightsError
from amphion_core.features.mel import hop_aligned_mel
from amphion_vocoders.discriminators.checks import check_wave
from amphion_vocoders.models.facodec_24k_layers import Decoder24k, Encoder24k, GatedConvolutions, TimbreEncoder
from amphion_vocoders.models.facodec_branches import BranchedCodec, BranchedConfig
from amphion_vocoders.models.facodec_heads import Factors
from amphion_vocoders.models.facodec_timbre import TimbreNorm
from amphion_vocoders.quantization import ResidualQuantizer

MEL = MelConfig(
    sample_rate=24000, n_fft=2048, win_length=1200, hop_length=300, n_mels=80, fmin=0, fmax=None, scale="htk",
    norm="none", power=2, log="ln", floor=1e-12, epsilon=0, padding="center",
)  # fmt: skip
ADDED, MEAN, DEVIATION = 1e-5, -4.0, 4.0  # the mel that the network reads is (ln(mel + 1e-5) + 4) / 4


class FACodec24k(BranchedCodec):
    """Wave (B, 1, T) -> codes (K, B, N) with the extra stream ``speaker`` (B, C) -> wave (B, 1, N * hop_length)."""

    class Config(BranchedConfig):
        """The defaults are the published network's."""

        mel: Mel = Field(default=MEL, description="rate and hop of the codec; the mel of prosody and timbre")
        channels: int = Field(default=64, gt=0, le=1024, description="channels of the first layer; stages double them")
        strides: tuple[Annotated[int, Field(ge=2)], ...] = Field(
            default=(2, 5, 5, 6),
            min_length=1,
            max_length=8,
            description="factor of each stage; their product is the hop",
        )
        decoder_channels: int = Field(
            default=1536, gt=0, le=1 << 14, description="channels before the decoder's first stage; each halves them"
        )
        lstm_layers: int = Field(default=2, ge=0, le=16, description="LSTM layers of the encoder and of the decoder")
        causal: bool = Field(default=True, description="convolutions see no later input")
        residual_books: int = Field(default=2, gt=0, le=64, description="codebooks of the residual")
        prosody_bands: int = Field(default=20, gt=0, description="number of the lowest mel bands that hold prosody")
        prosody_channels: int = Field(default=256, gt=0, le=8192, description="channels of the encoder of prosody")
        prosody_layers: int = Field(default=8, gt=0, le=256, description="its layers")
        timbre_channels: int = Field(
            default=512, gt=0, le=8192, multiple_of=2, description="channels of the encoder of timbre"
        )
        window: int = Field(default=2400, gt=0, description="frames that the encoder of timbre attends to at once")

        @model_validator(mode="after")
        def _sizes_agree(self) -> Self:
            if (hop := math.prod(self.strides)) != self.mel.hop_length:
                raise ValueError(f"strides: their product {hop} is not mel.hop_length {self.mel.hop_length}")
            if self.decoder_channels % 2 ** len(self.strides):
                raise ValueError(f"decoder_channels: {self.decoder_channels} cannot be halved at each stage")
            if self.prosody_bands > self.mel.n_mels:
                raise ValueError(f"prosody_bands: {self.prosody_bands} of {self.mel.n_mels} bands")
            return self

    config: Config
    layouts = ("plachtaa",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        self.sample_rate, self.hop_length = c.mel.sample_rate, c.mel.hop_length
        self.n_codebooks, self.codebook_size = c.prosody_books + c.content_books + c.residual_books, c.book_size
        dim = c.channels * 2 ** len(c.strides)
        self.encoder = Encoder24k(c.channels, c.strides, dim, c.lstm_layers, causal=c.causal)
        self.prosody_quantizer, self.content_quantizer, self.residual_quantizer = (
            c.quantizer(count, dim) for count in c.books
        )
        self.melspec_linear = nn.Conv1d(c.prosody_bands, c.prosody_channels, 1)
        self.melspec_encoder = GatedConvolutions(c.prosody_channels, 5, c.prosody_layers, 0.2, causal=c.causal)
        self.melspec_linear2 = nn.Conv1d(c.prosody_channels, dim, 1)
        self.timbre_encoder = TimbreEncoder(c.mel.n_mels, c.timbre_channels, dim, window=c.window)
        self.timbre = TimbreNorm(dim)
        self.decoder = Decoder24k(dim, c.decoder_channels, c.strides[::-1], c.lstm_layers, causal=c.causal)
        self.heads = c.heads_for(dim)
        self.redecoder = None

    @classmethod
    def example_config(cls) -> Config:
        """A hop of 4 samples, 2 channels."""
        mel = MEL.replace(n_fft=16, win_length=16, hop_length=4, n_mels=8)
        return cls.Config(
            mel=mel, channels=2, strides=(2, 2), decoder_channels=8, lstm_layers=1, content_books=1, residual_books=1,
            book_size=8, code_dim=3, prosody_bands=4, prosody_channels=4, prosody_layers=2, timbre_channels=4,
            window=64,
        )  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two waves of twelve frames."""
        return {"wave": torch.linspace(-9, 9, 24 * self.hop_length).sin().view(2, 1, -1) / 2}

    @property
    def quantizers(self) -> tuple[ResidualQuantizer, ResidualQuantizer, ResidualQuantizer]:
        """Those of prosody, content and residual."""
        return self.prosody_quantizer, self.content_quantizer, self.residual_quantizer

    def forward(self, wave: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, 1, T) -> the decoded wave (B, 1, N * hop_length), and the losses of each item (B).

        In training, the residual of an item is left out with probability ``residual_dropout``.
        """
        factors = self.factorise(wave)
        losses = {name: getattr(factors, name).mean(2).sum(0) for name in ("commitment", "codebook")}
        return self.decoder(self.mix(factors)), losses

    def factorise(self, wave: Tensor) -> Factors:
        """(B, 1, T) -> Factors with gradients, N = ceil(T / hop_length). Raises AudioError for another shape."""
        x, mel = self._read(wave)
        p = self.prosody_quantizer(self._prosody(mel))
        c = self.content_quantizer(x)
        r = self.residual_quantizer(x - (p.latents + c.latents).detach())
        indices, commitment, codebook = (
            torch.cat([getattr(part, name) for part in (p, c, r)]) for name in ("indices", "commitment", "codebook")
        )
        return Factors((p.latents, c.latents, r.latents), indices, self.timbre_encoder(mel), commitment, codebook)

    @torch.no_grad()
    def encode(self, wave: Tensor, n_codebooks: int | None = None) -> Codes:
        """(B, 1, T) -> indices (K, B, N), N = ceil(T / hop_length), and the timbre ``speaker`` (B, C).

        Codebooks come in the order prosody, content, residual. Raises AudioError for another shape.
        """
        with self.autocast():
            x, mel = self._read(wave)
            prosody, speaker = self._prosody(mel), self.timbre_encoder(mel).float()
        p, c = self.prosody_quantizer.encode(prosody), self.content_quantizer.encode(x)
        known = self.prosody_quantizer.decode(p) + self.content_quantizer.decode(c)
        indices = torch.cat([p, c, self.residual_quantizer.encode(x.float() - known)])
        return Codes(indices[:n_codebooks], {"speaker": speaker})

    def encode_pieces(self, pieces: Iterable[Tensor], n_codebooks: int | None = None) -> Codes:
        """Consecutive pieces (B, 1, T) of a signal -> its Codes. The whole signal is held in memory.

        Raises AudioError for a signal without samples.
        """
        whole = list(pieces)
        if not sum(piece.shape[2] for piece in whole):
            raise AudioError("there are no samples to encode", hint="give a recording that is not empty")
        return self.encode(torch.cat(whole, 2), n_codebooks)

    @torch.no_grad()
    def latents(self, codes: Codes) -> Tensor:
        """Codes with their timbre -> (B, C, N), the frames the decoder reads. Raises DataError without a timbre."""
        if codes.extra is None or "speaker" not in codes.extra:
            raise DataError("these codes have no timbre", hint="encode with FACodec, which stores it as `speaker`")
        c, rest, parts = self.config, codes.indices, []
        for quantizer, count in zip(self.quantizers, c.books, strict=True):
            if len(rest):
                parts.append(quantizer.decode(rest[:count]))
                rest = rest[count:]
        return self.timbre(torch.stack(parts).sum(0), codes.extra["speaker"])

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """(B, C, N) -> (B, 1, N * hop_length), float32, in [-1, 1]."""
        with self.autocast():
            return self.decoder(latents).float()

    def decode_pieces(self, codes: Codes) -> Iterator[Tensor]:
        """The Codes of a signal -> its samples, in one piece (B, 1, T)."""
        yield self.decode(codes)

    def convert_pieces(self, codes: Codes, speaker: Tensor, *, swap: bool = True) -> Iterator[Tensor]:
        """Codes, and the timbre (B, C) of another voice -> that voice saying the same. It has no redecoder."""
        return self.decode_pieces(Codes(codes.indices, {"speaker": speaker}))

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published file as (Config, state dict). Raises WeightsError for another one."""
        parts = unwrap(state, "net")
        if not all(isinstance(parts.get(name), Mapping) for name in ("encoder", "quantizer", "decoder")):
            hint = "give the file of the whole codec, with encoder, quantizer and decoder under `net`"
            raise WeightsError("this is no FACodec at 24 kHz", hint=hint)
        tensors: dict[str, Tensor] = {}
        for part in ("encoder", "quantizer", "decoder"):
            for name, tensor in strip_prefix(parts[part], "module.").items():
                if not name.startswith("to_mel."):
                    ours, value = _ours(name, tensor)
                    tensors[ours if part == "quantizer" else f"{part}.{ours}"] = value
        fields = _fields(tensors)
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors

    def _read(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, T) -> latents (B, C, N), and the mel that prosody and timbre are read from, (B, bands, N)."""
        check_wave(wave, shortest=1)
        wave = F.pad(wave, (0, -wave.shape[2] % self.hop_length))
        mel = hop_aligned_mel(wave[:, 0], self.config.mel)
        return self.encoder(wave), ((mel.exp() + ADDED).log() - MEAN) / DEVIATION

    def _prosody(self, mel: Tensor) -> Tensor:
        """(B, bands, N) -> (B, C, N)."""
        bands = self.melspec_linear(mel[:, : self.config.prosody_bands])
        return self.melspec_linear2(self.melspec_encoder(bands))


def _ours(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A published name and tensor under our name; projections of a codebook are convolutions of one frame there."""
    for theirs, ours in (
        (".convtr.convtr.", ".conv."),
        (".conv.conv.", ".conv."),
        ("timbre_linear.", "timbre.linear."),
    ):
        name = name.replace(theirs, ours)
    if name.startswith(("melspec_linear", "melspec_linear2")):
        name = name.replace(".conv.", ".")
    if "_quantizer." in name:
        name = name.replace(".quantizers.", ".layers.")
        if tensor.ndim == 3:
            tensor = tensor[..., 0]
    return name, tensor


def _fields(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The sizes that the shapes state."""

    def count(template: str) -> int:
        return sum(template.format(number) in tensors for number in range(256))

    lstm = next((name for name in tensors if name.startswith("encoder.") and name.endswith("lstm.weight_ih_l0")), "")
    fields: dict[str, Any] = {
        f"{part}_books": count(part + "_quantizer.layers.{}.codebook.weight")
        for part in ("prosody", "content", "residual")
    }
    return fields | {
        "channels": len(tensors["encoder.block.0.conv.bias"]),
        "decoder_channels": len(tensors["decoder.model.0.conv.bias"]),
        "lstm_layers": count(lstm[:-1] + "{}") if lstm else 0,
        "prosody_layers": count("melspec_encoder.in_layers.{}.conv.bias"),
        "prosody_channels": len(tensors["melspec_linear.bias"]),
        "timbre_channels": len(tensors["timbre_encoder.spectral.0.bias"]),
    }
