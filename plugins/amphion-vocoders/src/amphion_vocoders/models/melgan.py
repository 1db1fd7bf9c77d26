"""MelGAN generator: mel spectrogram to waveform, all frames at once; small and fast.

Kumar, Kumar, de Boissiere, Gestin, Teoh, Sotelo, de Brebisson, Bengio, Courville: "MelGAN: Generative Adversarial
Networks for Conditional Waveform Synthesis", arXiv:1910.06711. Section numbers refer to it.
Layout read: "descriptinc" (authors' release; its discriminator is read by ``discriminator/msd``).
Deviations: convolutions have PyTorch's own initialisation. The authors' code has it too in effect, because its weight
norm overwrites the N(0, 0.02) that it sets. A mel too short to be mirrored is extended by its last frame.
"""

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import BaseConfig, Mel, MelConfig, OnnxGraph, vocoder_graph
from amphion_core.config import validate
from amphion_core.modules.padding import reflect
from amphion_vocoders.models.feed_forward import FeedForwardVocoder

SLOPE = 0.2  # of every leaky ReLU
EDGE = 3  # frames or samples mirrored around the input of the first and of the last convolution, whose kernels are 7
DILATION = 3  # residual layer j of a stage has the dilation 3 ** j: section 2.1.2


class MelGAN(FeedForwardVocoder):
    """Feed-forward vocoder: mel (B, F, N) -> wave (B, 1, T) in [-1, 1], T = N * mel.hop_length."""

    class Config(BaseConfig):
        """The defaults are the paper's: 4.27 M parameters at 22.05 kHz."""

        mel: Mel = Field(
            default=MelConfig.preset("melgan_22k_80"), description="mel convention: bands F, hop in samples, rate in Hz"
        )
        channels: int = Field(
            default=512, gt=0, le=2**16, description="channels before the first stage; each stage halves them"
        )
        upsample_rates: tuple[int, ...] = Field(default=(8, 8, 2, 2), description="factor of each stage")
        residual_layers: int = Field(default=3, gt=0, le=8, description="residual layers of each stage")

        @model_validator(mode="after")
        def _stages_agree(self) -> Self:
            rates, hop = self.upsample_rates, self.mel.hop_length
            if wrong := [rate for rate in rates if rate < 2]:
                raise ValueError(f"upsample_rates: {wrong[0]} is not above 1")
            if math.prod(rates) != hop:
                raise ValueError(f"upsample_rates: product {math.prod(rates)} is not mel.hop_length {hop}")
            if self.channels % 2 ** len(rates):
                raise ValueError(f"channels: {self.channels} cannot be halved {len(rates)} times")
            return self

    config: Config
    layouts = ("descriptinc",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        channels = config.channels
        self.pre = weight_norm(nn.Conv1d(config.mel.n_mels, channels, 2 * EDGE + 1))
        self.stages = nn.ModuleList()
        self.shortest, length = EDGE + 1, 1  # frames that give every layer enough samples to mirror
        for rate in config.upsample_rates:
            self.stages.append(_Stage(channels, rate, config.residual_layers))
            channels, length = channels // 2, length * rate
            self.shortest = max(self.shortest, DILATION ** (config.residual_layers - 1) // length + 1)
        self.post = weight_norm(nn.Conv1d(channels, 1, 2 * EDGE + 1))

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 stages, 16 channels."""
        mel = MelConfig.preset("melgan_22k_80").replace(n_mels=4, hop_length=4)
        return cls.Config(mel=mel, channels=16, upsample_rates=(2, 2), residual_layers=2)

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, 1, T); ``f0`` is not used."""
        samples = mel.shape[2] * self.config.mel.hop_length
        x = mel if mel.shape[2] >= self.shortest else F.pad(mel, (0, self.shortest - mel.shape[2]), "replicate")
        x = self.pre(reflect(x, EDGE, EDGE))  # (B, channels, N)
        for stage in self.stages:
            x = stage(x)  # (B, C / 2, N * rate)
        x = torch.tanh(self.post(reflect(F.leaky_relu(x, SLOPE), EDGE, EDGE)))
        return x[..., :samples]

    def onnx_graph(self) -> OnnxGraph:
        """The mel (B, F, N) -> the wave (B, T); shorter mels than ``shortest`` are not extended."""
        return vocoder_graph(self, shortest=self.shortest)

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published generator as (Config, state dict). The sizes are those of its tensors.

        Raises WeightsError for another checkpoint, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.melgan_layouts import read

        fields, tensors = read(state, config or {})
        return validate(cls.Config, fields, where=f"the checkpoint, layout {layout}"), tensors


class _Stage(nn.Module):
    """Transposed convolution with a kernel of twice its stride (section 2.1.2), then residual layers."""

    def __init__(self, channels: int, rate: int, layers: int) -> None:
        super().__init__()
        after = channels // 2
        odd = rate % 2
        up = nn.ConvTranspose1d(channels, after, 2 * rate, rate, padding=rate // 2 + odd, output_padding=odd)
        self.up = weight_norm(up)
        self.layers = nn.ModuleList(_ResidualLayer(after, DILATION**layer) for layer in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C / 2, T * rate)."""
        x = self.up(F.leaky_relu(x, SLOPE))
        for layer in self.layers:
            x = layer(x)
        return x


class _ResidualLayer(nn.Module):
    """A dilated and a pointwise convolution; the input is added through a pointwise convolution: appendix A."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilated = weight_norm(nn.Conv1d(channels, channels, 3, dilation=dilation))
        self.pointwise = weight_norm(nn.Conv1d(channels, channels, 1))
        self.shortcut = weight_norm(nn.Conv1d(channels, channels, 1))
        self.dilation = dilation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        y = self.dilated(reflect(F.leaky_relu(x, SLOPE), self.dilation, self.dilation))
        return self.shortcut(x) + self.pointwise(F.leaky_relu(y, SLOPE))
