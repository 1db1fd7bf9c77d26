"""What EnCodec and SpeechTokenizer share: SEANet around residual vector quantisation, and their published layouts."""

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from amphion_core.api import BaseConfig, Codec, CodecStream, Codes
from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.config import validate
from amphion_vocoders.discriminators.checks import check_wave
from amphion_vocoders.models.seanet import Decoder, Encoder, Memory, SEANetConfig
from amphion_vocoders.quantization import EMACodebook, ResidualQuantizer

MEMORY_SECONDS = 4.0  # how far an LSTM that is not streamed looks back and ahead; longer recordings are cut up


class SEANetCodec(Codec):
    """Wave (B, 1, T) -> codes (K, B, N), N = ceil(T / hop_length) -> wave (B, 1, N * hop_length)."""

    Config = SEANetConfig
    config: Any
    bidirectional: ClassVar[bool] = False  # the encoder's LSTM

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__(config)
        self.sample_rate, self.hop_length = config.sample_rate, math.prod(config.strides)
        self.n_codebooks, self.codebook_size = config.codebooks, config.codebook_size
        self.encoder = Encoder(config, causal=self.causal, bidirectional=self.bidirectional)
        books = [
            EMACodebook(
                config.codebook_size, config.dim, kmeans=config.kmeans, decay=config.decay, threshold=config.dead_below
            )
            for _ in range(config.codebooks)
        ]
        self.quantizer = ResidualQuantizer(books, dropout=config.quantizer_dropout)
        self.decoder = Decoder(config, causal=self.causal)
        self.context = math.ceil(MEMORY_SECONDS * self.frame_rate) if config.lstm_layers else 2 * config.kernel

    @classmethod
    def _example_sizes(cls) -> dict[str, Any]:
        """Frames of 4 samples, 3 codebooks of 8 entries."""
        return {
            "filters": 4, "dim": 6, "strides": (2, 2), "kernel": 3, "codebooks": 3, "codebook_size": 8, "kmeans": False,
            "lstm_layers": 1,
        }  # fmt: skip

    def example_inputs(self) -> dict[str, Any]:
        """Two waves of twelve frames."""
        return {"wave": torch.linspace(-9, 9, 24 * self.hop_length).sin().view(2, 1, -1) / 2}

    def forward(self, wave: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, 1, T) -> the decoded wave (B, 1, N * hop_length), and the losses of each item (B).

        ``commitment``: the squared distance of the encoder's vectors from their entries, averaged over channels, frames
        and codebooks. Raises AudioError for another shape.
        """
        check_wave(wave, shortest=1)
        found = self.quantizer(self.encoder(wave))
        return self.decoder(found.latents), {"commitment": found.commitment.mean((0, 2))}

    @torch.no_grad()
    def encode(self, wave: Tensor, n_codebooks: int | None = None) -> Codes:
        """(B, 1, T) -> indices (K, B, N), N = ceil(T / hop_length). Raises AudioError for another shape."""
        check_wave(wave, shortest=1)
        with self.autocast():
            latents = self.encoder(wave)
        return Codes(self.quantizer.encode(latents, n_codebooks))

    @torch.no_grad()
    def latents(self, codes: Codes) -> Tensor:
        """Codes -> (B, dim, N), the sums of the chosen entries."""
        return self.quantizer.decode(codes.indices)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """(B, dim, N) -> (B, 1, N * hop_length), float32."""
        with self.autocast():
            return self.decoder(latents).float()


class SEANetStream(CodecStream):
    """A causal SEANet codec on one signal. The first piece must have more frames than the network mirrors."""

    def __init__(self, codec: SEANetCodec) -> None:
        self.codec = codec
        self._encoder: Memory = {}
        self._decoder: Memory = {}

    @torch.no_grad()
    def encode(self, wave: Tensor) -> Codes:
        """The next samples (B, 1, T) -> their codes. Raises AudioError, DataError for a first piece too short."""
        check_wave(wave, shortest=self.codec.hop_length)
        with self.codec.autocast():
            latents = self.codec.encoder.step(wave, self._encoder)
        return Codes(self.codec.quantizer.encode(latents))

    @torch.no_grad()
    def decode(self, codes: Codes) -> Tensor:
        """The next codes -> their samples (B, 1, N * hop_length). Raises DataError for a first piece too short."""
        with self.codec.autocast():
            return self.codec.decoder.step(self.codec.latents(codes), self._decoder).float()


_THEIRS = re.compile(r"^(encoder|decoder)\.model\.(.+)$")


def names_of_encodec(state: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint with the names of the encodec package (``encoder.model.0.conv.conv.weight_g``) under our names."""
    renamed: dict[str, Any] = {}
    for name, tensor in _tensors(state).items():
        if match := _THEIRS.match(name):
            inner = match[2].replace(".convtr.convtr.", ".conv.").replace(".conv.conv.", ".conv.")
            name = f"{match[1]}.layers.{inner}"
        renamed[name.replace("quantizer.vq.layers.", "quantizer.layers.").replace("._codebook.", ".")] = tensor
    return renamed


def names_of_transformers(state: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint with the names of ``transformers.EncodecModel`` under our names."""
    return {name.replace(".codebook.", "."): tensor for name, tensor in _tensors(state).items()}


def _tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    return strip_prefix(unwrap(state, "state_dict", "model", "best_state"), "module.")


def sizes_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the config that the shapes of a checkpoint, under our names, determine."""
    fields: dict[str, Any] = {}
    first, entries = state.get("encoder.layers.0.conv.bias"), state.get("quantizer.layers.0.embed")
    if isinstance(first, Tensor) and first.ndim == 1 and len(first):
        fields["filters"] = len(first)
    if isinstance(entries, Tensor) and entries.ndim == 2:
        fields["codebook_size"], fields["dim"] = entries.shape
        books = {name.split(".")[2] for name in state if name.startswith("quantizer.layers.")}
        fields["codebooks"] = len(books)
    return fields


def stated(given: Values, names: Mapping[str, str], lists: Mapping[str, str]) -> dict[str, Any]:
    """The fields that a publisher's config states: ``names`` and ``lists`` are ours by theirs. Raises WeightsError."""
    fields: dict[str, Any] = {ours: given.whole(theirs) for theirs, ours in names.items() if theirs in given}
    return fields | {ours: given.wholes(theirs) for theirs, ours in lists.items() if theirs in given}


def checked(config: type[BaseConfig], fields: Mapping[str, Any], layout: str) -> Any:
    """The config of a published network. Raises RecipeError for values that contradict each other."""
    return validate(config, dict(fields), where=f"the publisher's config, layout {layout}")
