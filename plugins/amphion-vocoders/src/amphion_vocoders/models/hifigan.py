"""HiFi-GAN generator: mel spectrogram to waveform, all frames at once.

Kong, Kim, Bae: "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech Synthesis",
arXiv:2010.05646. Section numbers refer to it.
Layouts read: "jik876" (authors' release), "amphion", "transformers" (SpeechT5HifiGan, FastSpeech2ConformerHifiGan).
Deviations: convolutions have PyTorch's own initialisation. The authors' code has it too in effect, because its weight
norm overwrites the N(0, 0.01) that it sets. Some published weights standardise the mel first: `mean` and `scale`. Where
a kernel and its rate have different parity, published networks make some samples more than N * hop; ours cuts them off.
"""

import math
from collections.abc import Mapping
from functools import reduce
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import MelConfig, Precision
from amphion_core.config import validate
from amphion_core.modules.folding import fold_weight_norms
from amphion_core.modules.gpu_convolutions import TimeConv1d, TimeConvTranspose1d, channels_last
from amphion_vocoders.models.feed_forward import FeedForwardVocoder
from amphion_vocoders.models.generator_config import GeneratorConfig, check_blocks, check_stages, keep_length
from amphion_vocoders.models.hifigan_gpu import GPUGenerator
from amphion_vocoders.models.hifigan_packed import PackedGenerator
from amphion_vocoders.models.packed_module import PackedModule
from amphion_vocoders.models.sine_source import Added


class HiFiGANGenerator(PackedModule):
    """The generator alone: features (B, C, N) -> wave (B, 1, T), T = N * product of the upsampling rates.

    ``condition_channels`` adds a projected vector (B, G, 1) to the input, for use as a decoder. The release has weight
    norms at both ends, ``norm_ends``; decoders have them at neither. Parameters have the names of the authors'
    checkpoints.
    """

    class Config(GeneratorConfig):
        """What a model states of its generator. The defaults are the paper's V1."""

        @model_validator(mode="after")
        def _stages_agree(self) -> Self:  # here, unlike in other generators, a kernel may have any parity
            check_stages(self.mel.hop_length, self.channels, self.upsample_rates, self.upsample_kernels)
            check_blocks(self.resblock_kernels, self.resblock_dilations)
            return self

    slope: ClassVar[float] = 0.1  # leaky ReLU inside the stages
    last_slope: ClassVar[float] = 0.01  # leaky ReLU before the last convolution, as published

    def __init__(
        self, in_channels: int, config: GeneratorConfig, *, condition_channels: int = 0, post_bias: bool = True,
        norm_ends: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        channels = config.channels
        self.hop = math.prod(config.upsample_rates)
        self.keeps_length = keep_length(config.upsample_rates, config.upsample_kernels)
        self.context = _context(config)  # frames before and behind a frame that its audio depends on
        self.conv_pre = TimeConv1d(in_channels, channels, 7, padding=3)
        if condition_channels:
            self.cond = nn.Conv1d(condition_channels, channels, 1)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        block = ResBlock1 if config.resblock == "1" else ResBlock2
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            up = TimeConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2)
            self.ups.append(weight_norm(up))
            channels //= 2
            for size, dilations in zip(config.resblock_kernels, config.resblock_dilations, strict=True):
                self.resblocks.append(block(channels, size, dilations))
        self.conv_post = TimeConv1d(channels, 1, 7, padding=3, bias=post_bias)
        if norm_ends:
            self.conv_pre, self.conv_post = weight_norm(self.conv_pre), weight_norm(self.conv_post)

    def forward(self, x: Tensor, condition: Tensor | None = None, added: Added | None = None) -> Tensor:
        """(B, C, N), (B, G, 1) -> (B, 1, T) in [-1, 1]. ``added`` is what a source adds after each upsampling."""
        if self.uses_packed:
            return self.packed(x, None if condition is None else self.cond(condition), added)
        if x.is_cuda:  # convolutions over channels that lie side by side are faster there
            wave = self._equations(channels_last(x), condition, added).squeeze(2)
        else:
            wave = self._equations(x, condition, added)
        return wave if self.keeps_length else wave[..., : x.shape[2] * self.hop]

    def _equations(self, x: Tensor, condition: Tensor | None, added: Added | None = None) -> Tensor:
        """(B, C, N) -> (B, 1, T), or the same with a further dimension of size 1 before the last."""
        x = self.conv_pre(x)
        if condition is not None:
            projected = self.cond(condition)
            x = x + (projected if x.dim() == 3 else projected.unsqueeze(2))
        per_stage = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, self.slope))  # (B, C / 2, N * rate)
            if added is not None and (source := added(stage)) is not None:
                x = x + (source if x.dim() == 3 else source.unsqueeze(2))
            blocks = self.resblocks[stage * per_stage : (stage + 1) * per_stage]
            x = (
                reduce(torch.add, (block(x) for block in blocks)) / per_stage
            )  # section 2.3: multi-receptive field fusion
        return torch.tanh(self.conv_post(F.leaky_relu(x, self.last_slope)))

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Fold the weight norms; reorder the weights for the device's convolutions where all stages keep the length.

        ``precision`` must be one that this device supports, see ``resolve_precision``.
        """
        self.eval().requires_grad_(False)
        fold_weight_norms(self)
        device = next(self.parameters()).device.type
        if not self.keeps_length:
            self.packed = None
        elif device == "cuda":
            self.packed = GPUGenerator(self, precision)
        else:
            self.packed = PackedGenerator(self, precision) if device == "cpu" and PackedGenerator.available() else None
        return self


class ResBlock1(nn.Module):
    """For each dilation a dilated and a plain convolution, with a residual connection around both; appendix A.1."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, kernel, 1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, HiFiGANGenerator.slope)), HiFiGANGenerator.slope))
        return x


class ResBlock2(nn.Module):
    """For each dilation one convolution with a residual connection around it; appendix A.1 (V3)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, kernel, dilation) for dilation in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        for conv in self.convs:
            x = x + conv(F.leaky_relu(x, HiFiGANGenerator.slope))
        return x


def _context(config: GeneratorConfig) -> int:
    """Frames before and behind a frame of the input that its audio depends on: half the taps of each convolution."""
    rate, found = 1, 3.0  # the first convolution has 7 taps
    for factor, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
        rate *= factor
        widest = max(
            (size - 1) / 2 * sum(dilation + (config.resblock == "1") for dilation in dilations)
            for size, dilations in zip(config.resblock_kernels, config.resblock_dilations, strict=True)
        )
        found += (kernel - 1 - (kernel - factor) // 2 + widest) / rate
    return math.ceil(found + 3 / rate)


def _conv(channels: int, kernel: int, dilation: int) -> nn.Module:
    return weight_norm(TimeConv1d(channels, channels, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2))


class HiFiGAN(FeedForwardVocoder):
    """Feed-forward vocoder: mel (B, F, N) -> wave (B, 1, T) in [-1, 1], T = N * mel.hop_length."""

    class Config(HiFiGANGenerator.Config):
        """The generator's fields, and the statistics of the mel. The defaults are the paper's V1."""

        mean: tuple[float, ...] = Field(
            default=(), description="subtracted from each band before the network, in the mel's unit; empty: nothing"
        )
        scale: tuple[float, ...] = Field(
            default=(), description="what each band is divided by after that, in the mel's unit; empty: nothing"
        )

        @model_validator(mode="after")
        def _statistics_fit(self) -> Self:
            for name, values in (("mean", self.mean), ("scale", self.scale)):
                if values and len(values) != self.mel.n_mels:
                    raise ValueError(f"{name}: {len(values)} values for {self.mel.n_mels} mel bands")
            if 0 in self.scale:
                raise ValueError("scale: a band cannot be divided by 0")
            return self

    config: Config
    mean: Tensor
    scale: Tensor
    layouts = layouts_with_config = ("jik876", "amphion", "transformers")
    is_thread_safe = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator = HiFiGANGenerator(config.mel.n_mels, config)
        count = config.mel.n_mels  # not in the state dict, because the config holds them
        self.register_buffer("mean", torch.tensor(config.mean or [0.0] * count)[:, None], persistent=False)
        self.register_buffer("scale", torch.tensor(config.scale or [1.0] * count)[:, None], persistent=False)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 stages, 16 channels."""
        mel = MelConfig.preset("hifigan_22k_80").replace(n_mels=4, hop_length=4)
        return cls.Config(mel=mel, channels=16, upsample_rates=(2, 2), upsample_kernels=(4, 4))

    @property
    def context(self) -> int | None:
        """Frames of the mel around a frame that its audio depends on."""
        return self.generator.context if self.generator.keeps_length else None

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, 1, T); ``f0`` is not used."""
        if self.config.mean or self.config.scale:
            mel = (mel - self.mean) / self.scale
        return self.generator(mel)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does, and reorder the weights: see ``hifigan_packed.py`` and ``hifigan_gpu.py``."""
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
        from amphion_vocoders.models.hifigan_layouts import read

        fields, tensors = read(state, layout, config or {}, slope=HiFiGANGenerator.slope)
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors
