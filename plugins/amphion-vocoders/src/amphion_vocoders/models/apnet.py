"""APNet: mel spectrogram to amplitude and phase spectra by two residual networks, and an inverse STFT.

Ai and Ling: "APNet: An All-Frame-Level Neural Vocoder Incorporating Direct Prediction of Amplitude and Phase Spectra",
arXiv:2305.07952, section III. Section numbers refer to it.
Layouts read: "yangai520" (authors' release), "amphion" (the same network with other frames).
Deviations: with centred frames the authors' code makes (N - 1) * hop samples, ours N * hop; the first are the same.
Convolutions have PyTorch's own initialisation. The authors' code has it too in effect, because its weight norm
overwrites the N(0, 0.01) that it sets. The last convolutions for both parts of the phase are one.
"""

from collections.abc import Mapping
from functools import reduce
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.api import Mel, MelConfig, Precision
from amphion_core.config import validate
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_vocoders.models.amplitude_phase import KERNEL, AmplitudePhaseVocoder
from amphion_vocoders.models.generator_config import check_blocks

SLOPE, LAST_SLOPE = 0.1, 0.01  # leaky ReLUs inside the residual blocks, and before the last convolution, as published


class APNet(AmplitudePhaseVocoder):
    """Feed-forward vocoder: mel (B, F, N) -> wave (B, 1, T), T = N * mel.hop_length."""

    class Config(AmplitudePhaseVocoder.Config):
        """The defaults are the paper's: 72.2 M parameters, 16 kHz, 200 frames a second."""

        mel: Mel = Field(
            default=MelConfig.preset("apnet_16k_80"),
            description="mel convention: bands F, rate in Hz; hop, window and FFT size are those of the output too",
        )
        channels: int = Field(default=512, gt=0, le=1 << 14, description="channels of both branches")
        resblock_kernels: tuple[int, ...] = Field(
            default=(3, 7, 11), description="kernels of the parallel residual blocks, frames"
        )
        resblock_dilations: tuple[tuple[int, ...], ...] = Field(
            default=((1, 3, 5), (1, 3, 5), (1, 3, 5)), description="dilations of each parallel block, frames"
        )

        @model_validator(mode="after")
        def _blocks_agree(self) -> Self:
            check_blocks(self.resblock_kernels, self.resblock_dilations)
            return self

    config: Config
    layouts = layouts_with_config = ("yangai520", "amphion")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.amplitude = _Branch(config, self.bins)
        self.phase = _Branch(config, 2 * self.bins)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 8 channels, two blocks, windows of 16 samples in frames of 32."""
        mel = MelConfig.preset("apnet_16k_80").replace(n_mels=4, n_fft=32, win_length=16, hop_length=4)
        return cls.Config(mel=mel, channels=8, resblock_kernels=(3, 5), resblock_dilations=((1, 3), (1, 3)))

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does; on a CPU in float32, also reorder the weights of the convolutions."""
        super().for_inference(precision)
        if self.precision == "float32" and self.device.type == "cpu":
            pack_convolutions(self.amplitude)
            pack_convolutions(self.phase)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published generator and its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.apnet_layouts import read_apnet

        fields, tensors = read_apnet(state, layout, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors


class _Branch(nn.Module):
    """The predictor of the amplitudes (section III-B), or of both parts of the phase (section III-C)."""

    def __init__(self, config: APNet.Config, outputs: int) -> None:
        super().__init__()
        self.pre = weight_norm(nn.Conv1d(config.mel.n_mels, config.channels, KERNEL, padding=KERNEL // 2))
        self.blocks = nn.ModuleList(
            _ResidualBlock(config.channels, kernel, dilations)
            for kernel, dilations in zip(config.resblock_kernels, config.resblock_dilations, strict=True)
        )
        self.post = weight_norm(nn.Conv1d(config.channels, outputs, KERNEL, padding=KERNEL // 2))

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, outputs, N)."""
        x = self.pre(mel)  # (B, C, N)
        x = reduce(torch.add, (block(x) for block in self.blocks)) / len(self.blocks)
        return self.post(F.leaky_relu(x, LAST_SLOPE))


class _ResidualBlock(nn.Module):
    """For each dilation a dilated and a plain convolution, with a residual connection around both, as in HiFi-GAN."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Module:
            reach = dilation * (kernel - 1) // 2
            return weight_norm(nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=reach))

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(conv(1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE))
        return x
