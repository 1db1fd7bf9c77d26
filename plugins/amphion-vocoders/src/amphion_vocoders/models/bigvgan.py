"""BigVGAN generator, v1 and v2: mel spectrogram to waveform with periodic, anti-aliased activations.

Lee, Ping, Ginsburg, Catanzaro, Yoon: "BigVGAN: A Universal Neural Vocoder with Large-Scale Training",
arXiv:2206.04658. Section numbers refer to it. Version 2 was published as weights with their configs in 2024.
Layouts read: "nvidia" (authors' releases), "amphion". Deviations: none. As in HiFi-GAN, convolutions have PyTorch's own
initialisation, which the published code has in effect. The lowpass filters are computed, not stored.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import Mel, MelConfig, OnnxGraph, Precision, vocoder_graph
from amphion_core.config import validate
from amphion_core.modules.folding import fold_weight_norms
from amphion_vocoders.models.antialiasing import AntiAliasedSnake
from amphion_vocoders.models.bigvgan_packed import PackedBigVGAN
from amphion_vocoders.models.feed_forward import FeedForwardVocoder
from amphion_vocoders.models.generator_config import GeneratorConfig
from amphion_vocoders.models.lowpass import lowpass
from amphion_vocoders.models.packed_module import PackedModule


class BigVGANGenerator(PackedModule):
    """The generator alone: mel (B, F, N) -> wave (B, 1, T) in [-1, 1], T = N * product of the upsampling rates.

    Parameters have the names of the authors' checkpoints.
    """

    class Config(GeneratorConfig):
        """HiFi-GAN's fields, and those of the activations. The defaults are the paper's base model."""

        mel: Mel = Field(
            default=MelConfig.preset("bigvgan_24k_100"),
            description="mel convention: bands F, hop in samples, rate in Hz",
        )
        activation: Literal["snake", "snakebeta"] = Field(
            default="snakebeta", description="snakebeta: frequency and amplitude are separate parameters"
        )
        log_scale: bool = Field(default=True, description="the activations' parameters are logarithms")
        tanh_at_final: bool = Field(default=True, description="tanh limits the wave; false: it is clamped (version 2)")
        bias_at_final: bool = Field(default=True, description="the last convolution has a bias; version 2 has none")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tanh_at_final = config.tanh_at_final
        channels = config.channels
        self.conv_pre = weight_norm(nn.Conv1d(config.mel.n_mels, channels, 7, padding=3))
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        block = AMPBlock1 if config.resblock == "1" else AMPBlock2
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            up = nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            self.ups.append(nn.ModuleList([weight_norm(up)]))
            channels //= 2
            for size, dilations in zip(config.resblock_kernels, config.resblock_dilations, strict=True):
                self.resblocks.append(block(channels, size, dilations, config))
        self.activation_post = _snake(channels, config)
        self.conv_post = weight_norm(nn.Conv1d(channels, 1, 7, padding=3, bias=config.bias_at_final))

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, N) -> (B, 1, T)."""
        if self.uses_packed:
            return self.packed(x)
        x = self.conv_pre(x)
        per_stage = len(self.resblocks) // len(self.ups)
        for stage, ups in enumerate(self.ups):
            x = ups[0](x)  # type: ignore[index]  # (B, C / 2, N * rate); no activation before it, unlike HiFi-GAN
            blocks = self.resblocks[stage * per_stage : (stage + 1) * per_stage]
            x = reduce(torch.add, (block(x) for block in blocks)) / per_stage  # section 3.2
        x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.tanh_at_final else x.clamp(-1, 1)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Fold the weight norms; on a CPU with numba also reorder the weights, see ``bigvgan_packed.py``."""
        self.eval().requires_grad_(False)
        fold_weight_norms(self)
        on_cpu = next(self.parameters()).device.type == "cpu"
        self.packed = PackedBigVGAN(self, precision) if on_cpu and PackedBigVGAN.available() else None
        return self


class AMPBlock1(nn.Module):
    """Anti-aliased multi-periodicity: for each dilation a dilated and a plain convolution; section 3.2."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], config: BigVGANGenerator.Config) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, kernel, 1) for _ in dilations)
        self.activations = nn.ModuleList(_snake(channels, config) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for index, (dilated, plain) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            first, second = self.activations[2 * index], self.activations[2 * index + 1]
            x = x + plain(second(dilated(first(x))))
        return x


class AMPBlock2(nn.Module):
    """The same with one convolution for each dilation."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], config: BigVGANGenerator.Config) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)
        self.activations = nn.ModuleList(_snake(channels, config) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for conv, activation in zip(self.convs, self.activations, strict=True):
            x = x + conv(activation(x))
        return x


def _conv(channels: int, kernel: int, dilation: int) -> nn.Module:
    return weight_norm(nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2))


def _snake(channels: int, config: BigVGANGenerator.Config) -> AntiAliasedSnake:
    return AntiAliasedSnake(channels, beta=config.activation == "snakebeta", log_scale=config.log_scale)


class BigVGAN(FeedForwardVocoder):
    """Feed-forward vocoder: mel (B, F, N) -> wave (B, 1, T) in [-1, 1], T = N * mel.hop_length."""

    class Config(BigVGANGenerator.Config):
        """The generator's fields. The defaults are the paper's base model."""

    config: Config
    layouts = layouts_with_config = ("nvidia", "amphion")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = BigVGANGenerator(config)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 stages, 16 channels."""
        mel = MelConfig.preset("bigvgan_24k_100").replace(n_mels=4, hop_length=4)
        return cls.Config(mel=mel, channels=16, upsample_rates=(2, 2), upsample_kernels=(4, 4))

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, 1, T); ``f0`` is not used."""
        return self.generator(mel)

    def onnx_graph(self) -> OnnxGraph:
        """The mel (B, F, N) -> the wave (B, T)."""
        lowpass(torch.device("cpu"), torch.float32)  # its cache must not be filled while the graph is recorded
        return vocoder_graph(self)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and reorder the weights: see ``bigvgan_packed.py``."""
        super().for_inference(precision)
        self.generator.for_inference(self.precision)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published generator and its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.bigvgan_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
