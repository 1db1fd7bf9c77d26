"""DAC: a codec for any sound, of full bandwidth, at 44.1, 24 or 16 kHz.

Kumar et al.: "High-Fidelity Audio Compression with Improved RVQGAN", arXiv:2306.06546.
Layouts read: "descriptinc" (the authors' ``weights.pth``, whose metadata are the config), "transformers"
(``descript/dac_44khz`` and its siblings).
Deviations: with odd strides the authors' decoder makes some samples less than N * hop_length; ours adds zeros.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import BaseConfig, Codec, Codes
from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.checkpoints.weight_names import expected_shapes, strip_prefix, to_parametrized, unwrap
from amphion_core.config import validate
from amphion_vocoders.discriminators.checks import check_wave
from amphion_vocoders.models.initial_weights import zero_biases
from amphion_vocoders.models.snake import Snake
from amphion_vocoders.quantization import FactorizedCodebook, ResidualQuantizer

DILATIONS = (1, 3, 9)  # of the residual units of a stage
KERNEL = 7  # of the residual units, and of the first and last convolutions


class DAC(Codec):
    """Wave (B, 1, T) -> codes (K, B, N), N = ceil(T / hop_length) -> wave (B, 1, N * hop_length)."""

    class Config(BaseConfig):
        """The defaults are the authors' at 44.1 kHz: 76.7 M parameters."""

        sample_rate: int = Field(default=44100, gt=0, le=768000, description="rate of the audio, Hz")
        encoder_channels: int = Field(default=64, gt=0, le=1024, description="channels of the first convolution")
        strides: tuple[int, ...] = Field(
            default=(2, 4, 8, 8), min_length=1, max_length=8,
            description="factors of the encoder's stages; the decoder has them in reverse; hop_length is their product",
        )  # fmt: skip
        decoder_channels: int = Field(
            default=1536, gt=0, le=1 << 14, description="channels before the decoder's first stage; each halves them"
        )
        codebooks: int = Field(default=9, gt=0, le=256, description="number of codebooks K")
        codebook_size: int = Field(default=1024, gt=1, le=1 << 16, description="entries of each codebook")
        codebook_dim: int = Field(default=8, gt=0, le=1024, description="dimensions in which entries are searched")
        quantizer_dropout: float = Field(
            default=0.5, ge=0, le=1,
            description="how often a training item uses only the first codebooks, their number drawn evenly",
        )  # fmt: skip

    config: Config
    layouts = ("descriptinc", "transformers")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.hop_length = config.sample_rate, math.prod(config.strides)
        self.n_codebooks, self.codebook_size = config.codebooks, config.codebook_size
        dim = config.encoder_channels * 2 ** len(config.strides)
        self.encoder = _Encoder(config.encoder_channels, config.strides, dim)
        self.quantizer = ResidualQuantizer(
            [
                FactorizedCodebook(config.codebook_size, dim, code_dim=config.codebook_dim)
                for _ in range(config.codebooks)
            ],
            dropout=config.quantizer_dropout,
        )
        self.decoder = _Decoder(dim, config.decoder_channels, config.strides[::-1])
        self.context = _context(config.strides)
        zero_biases(self)

    @classmethod
    def example_config(cls) -> Config:
        """Frames of 4 samples, 3 codebooks of 8 entries."""
        return cls.Config(
            encoder_channels=4, strides=(2, 2), decoder_channels=8, codebooks=3, codebook_size=8, codebook_dim=3
        )

    def example_inputs(self) -> dict[str, Any]:
        """Two waves of twelve frames."""
        return {"wave": torch.linspace(-9, 9, 24 * self.hop_length).sin().view(2, 1, -1) / 2}

    def forward(self, wave: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, 1, T) -> the decoded wave (B, 1, N * hop_length), and the losses of each item (B).

        ``commitment`` and ``codebook``: squared distances of the projected vectors from their entries, averaged over
        channels and frames, summed over the codebooks. Raises AudioError for another shape.
        """
        found = self.quantizer(self.encoder(self._whole_frames(wave)))
        losses = {
            "commitment": found.commitment.mean(2).sum(0),
            "codebook": found.codebook.mean(2).sum(0),
        }
        return self._synthesise(found.latents), losses

    @torch.no_grad()
    def encode(self, wave: Tensor, n_codebooks: int | None = None) -> Codes:
        """(B, 1, T) -> indices (K, B, N), N = ceil(T / hop_length). Raises AudioError for another shape."""
        wave = self._whole_frames(wave)
        with self.autocast():
            latents = self.encoder(wave)
        return Codes(self.quantizer.encode(latents, n_codebooks))

    @torch.no_grad()
    def latents(self, codes: Codes) -> Tensor:
        """Codes -> (B, C, N), the sums of the projected entries."""
        return self.quantizer.decode(codes.indices)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """(B, C, N) -> (B, 1, N * hop_length), float32, in [-1, 1]."""
        with self.autocast():
            return self._synthesise(latents).float()

    def _whole_frames(self, wave: Tensor) -> Tensor:
        """(B, 1, T) filled with zeros to a multiple of the hop. Raises AudioError for another shape."""
        check_wave(wave, shortest=1)
        return F.pad(wave, (0, -wave.shape[2] % self.hop_length))

    def _synthesise(self, latents: Tensor) -> Tensor:
        """(B, C, N) -> (B, 1, N * hop_length)."""
        wave = self.decoder(latents)
        return F.pad(wave, (0, latents.shape[2] * self.hop_length - wave.shape[2]))

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published network as (Config, state dict). Raises WeightsError, RecipeError.

        The authors' file states its config in ``metadata``; ``config`` has priority.
        """
        metadata = state.get("metadata")
        stated = metadata if isinstance(metadata, Mapping) else {}
        given = flat_values({"file": dict(stated), "given": dict(config or {})})
        names = _OF_TRANSFORMERS if layout == "transformers" else _OF_AUTHORS
        fields: dict[str, Any] = {ours: given.whole(theirs) for theirs, ours in names.items() if theirs in given}
        strides = "downsampling_ratios" if layout == "transformers" else "encoder_rates"
        if strides in given:
            fields["strides"] = given.wholes(strides)
        ours = validate(cls.Config, fields, where=f"the publisher's config, layout {layout}")
        tensors = strip_prefix(unwrap(state, "state_dict"), "module.")
        rename = _name_of_transformers if layout == "transformers" else _name_of_authors
        stages = len(ours.strides)
        renamed = {rename(name, stages): tensor for name, tensor in tensors.items()}
        for name, tensor in renamed.items():  # their projections are convolutions of one frame
            if name.startswith("quantizer.") and isinstance(tensor, Tensor) and tensor.ndim == 3:
                renamed[name] = tensor[..., 0]
        return ours, to_parametrized(renamed, expected_shapes(lambda: cls(ours)))


_OF_TRANSFORMERS = {
    "sampling_rate": "sample_rate", "encoder_hidden_size": "encoder_channels",
    "decoder_hidden_size": "decoder_channels", "n_codebooks": "codebooks",
    "codebook_size": "codebook_size", "codebook_dim": "codebook_dim",
}  # fmt: skip
_OF_AUTHORS = {
    "sample_rate": "sample_rate", "encoder_dim": "encoder_channels", "decoder_dim": "decoder_channels",
    "n_codebooks": "codebooks", "codebook_size": "codebook_size", "codebook_dim": "codebook_dim",
}  # fmt: skip


class _Residual(nn.Module):
    """Two convolutions around the identity: (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        around = (KERNEL - 1) * dilation // 2
        self.layers = nn.Sequential(
            Snake(channels),
            weight_norm(nn.Conv1d(channels, channels, KERNEL, dilation=dilation, padding=around)),
            Snake(channels),
            weight_norm(nn.Conv1d(channels, channels, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return x + self.layers(x)


class _Encoder(nn.Sequential):
    """Wave (B, 1, T) -> latents (B, dim, T / hop). Each stage doubles the channels."""

    def __init__(self, channels: int, strides: tuple[int, ...], dim: int) -> None:
        layers: list[nn.Module] = [weight_norm(nn.Conv1d(1, channels, KERNEL, padding=KERNEL // 2))]
        for stride in strides:
            around = math.ceil(stride / 2)
            down = weight_norm(nn.Conv1d(channels, 2 * channels, 2 * stride, stride, padding=around))
            units = [_Residual(channels, dilation) for dilation in DILATIONS]
            layers.append(nn.Sequential(*units, Snake(channels), down))
            channels *= 2
        super().__init__(*layers, Snake(channels), weight_norm(nn.Conv1d(channels, dim, 3, padding=1)))


class _Decoder(nn.Sequential):
    """Latents (B, dim, N) -> wave (B, 1, about N * hop) in [-1, 1]. Each stage halves the channels."""

    def __init__(self, dim: int, channels: int, strides: tuple[int, ...]) -> None:
        layers: list[nn.Module] = [weight_norm(nn.Conv1d(dim, channels, KERNEL, padding=KERNEL // 2))]
        for stride in strides:
            around = math.ceil(stride / 2)
            up = weight_norm(nn.ConvTranspose1d(channels, channels // 2, 2 * stride, stride, padding=around))
            units = [_Residual(channels // 2, dilation) for dilation in DILATIONS]
            layers.append(nn.Sequential(Snake(channels), up, *units))
            channels //= 2
        last = weight_norm(nn.Conv1d(channels, 1, KERNEL, padding=KERNEL // 2))
        super().__init__(*layers, Snake(channels), last, nn.Tanh())


def _context(strides: tuple[int, ...]) -> int:
    """Frames on either side that a frame's codes or samples depend on.

    It is the larger reach of encoder and decoder. A stage reaches over its residual units, at the rate of its input or
    output, and over one neighbour in its strided convolution.
    """
    units = sum((KERNEL - 1) * dilation // 2 for dilation in DILATIONS)
    hop, reach = 1, float(KERNEL // 2)  # samples
    for stride in strides:
        reach += units * hop + 2 * stride * hop
        hop *= stride
    return math.ceil(reach / hop) + KERNEL // 2 + 1


_UNIT = re.compile(r"res_unit(\d)\.(snake|conv)(\d)\.")


def _name_of_transformers(name: str, stages: int) -> str:
    """A name of ``transformers.DacModel`` under our names."""
    part, _, rest = name.partition(".")
    if part == "quantizer":
        return name.replace("quantizer.quantizers.", "quantizer.layers.")
    first = 0 if part == "encoder" else 2  # where the residual units of a stage begin
    outer = {"conv1.": "0.", "snake1.": f"{stages + 1}.", "conv2.": f"{stages + 2}."}
    inner = {"snake1.": "3.", "conv1.": "4."} if part == "encoder" else {"snake1.": "0.", "conv_t1.": "1."}
    if rest.startswith("block."):
        _, number, rest = rest.split(".", 2)
        prefix = f"{part}.{int(number) + 1}."
        if match := _UNIT.match(rest):
            layer = 2 * (int(match[3]) - 1) + (match[2] == "conv")
            return f"{prefix}{first + int(match[1]) - 1}.layers.{layer}.{rest[match.end() :]}"
        return prefix + _replaced(rest, inner)
    return f"{part}.{_replaced(rest, outer)}"


def _name_of_authors(name: str, stages: int) -> str:
    """A name of the authors' network, whose layers stand in nested sequences called ``block`` and ``model``."""
    if name.startswith("quantizer."):
        return name.replace("quantizer.quantizers.", "quantizer.layers.")
    words = [word for word in name.split(".") if word not in ("block", "model")]
    if len(words) == 5:  # network, stage, unit, layer, tensor
        words.insert(3, "layers")
    return ".".join(words)


def _replaced(rest: str, names: Mapping[str, str]) -> str:
    for theirs, ours in names.items():
        if rest.startswith(theirs):
            return ours + rest.removeprefix(theirs)
    return rest
