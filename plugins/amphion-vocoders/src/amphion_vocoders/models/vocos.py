"""Vocos: mel spectrogram to the spectra of an inverse STFT, so that the network works at the rate of frames.

Siuzdak: "Vocos: Closing the gap between time-domain and Fourier-based neural vocoders for high-quality audio
synthesis", arXiv:2306.00814, section 3. The blocks are ConvNeXt's (Liu et al., arXiv:2201.03545) in one dimension.
Layouts read: "charactr" (the author's weights and training checkpoints, with mel features and the ISTFT head).
Deviations: with centred frames the author's code makes (N - 1) * hop samples, ours N * hop; the first are the same.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Mel, MelConfig, Precision
from amphion_core.config import validate
from amphion_vocoders.models.feed_forward import FeedForwardVocoder
from amphion_vocoders.models.inverse_stft import Padding, inverse_stft
from amphion_vocoders.models.packed_module import PackedModule
from amphion_vocoders.models.vocos_packed import PackedBackbone

KERNEL = 7  # of the first convolution and of the depthwise ones, frames
EPSILON = 1e-6  # of the layer norms
DEVIATION = 0.02  # of the initial weights. The author cuts the distribution at 2, which is 100 deviations: no cut
LARGEST_MAGNITUDE = 100.0  # of a spectrum's bin; the network predicts its logarithm


class Vocos(FeedForwardVocoder):
    """Feed-forward vocoder: mel (B, F, N) -> wave (B, 1, T), T = N * mel.hop_length."""

    class Config(BaseConfig):
        """The defaults are the author's network for mels at 24 kHz, 13.5 M parameters."""

        mel: Mel = Field(
            default=MelConfig.preset("vocos_24k_100"),
            description="mel convention: bands F, rate in Hz; hop and FFT size, samples, are those of the output too",
        )
        channels: int = Field(default=512, gt=0, le=1 << 14, description="channels between the blocks")
        inner_channels: int = Field(default=1536, gt=0, le=1 << 16, description="channels inside a block")
        layers: int = Field(default=8, gt=0, le=20, description="number of ConvNeXt blocks; each sees 3 frames further")
        padding: Padding | None = Field(
            default=None,
            description="where the inverse STFT has its frames, see MelConfig.padding; null: as the mel has them",
        )

        @model_validator(mode="after")
        def _frames_overlap(self) -> Self:
            if 4 * self.mel.hop_length > self.mel.n_fft:
                raise ValueError(
                    f"mel: the hop {self.mel.hop_length} is more than a quarter of the FFT size {self.mel.n_fft}, so "
                    "the frames of the inverse STFT overlap too little"
                )
            return self

    config: Config
    window: Tensor
    layouts = layouts_with_config = ("charactr",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.backbone = Backbone(config.mel.n_mels, config.channels, config.inner_channels, config.layers)
        self.head = nn.ModuleDict({"out": nn.Linear(config.channels, config.mel.n_fft + 2)})
        self.register_buffer("window", torch.hann_window(config.mel.n_fft), persistent=False)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 blocks of 8 channels, frames of 16 samples."""
        mel = MelConfig.preset("hifigan_22k_80").replace(n_mels=4, hop_length=4, n_fft=16, win_length=16)
        return cls.Config(mel=mel, channels=8, inner_channels=16, layers=2)

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, 1, T); ``f0`` is not used. The spectra and the wave are float32 under autocast too."""
        rows = self.backbone(mel)  # (B, N, C)
        with torch.autocast(rows.device.type, enabled=False):
            magnitude, phase = self.head["out"](rows.float()).chunk(2, -1)  # (B, N, bins) each; section 3.3
            magnitude = magnitude.exp().clamp(max=LARGEST_MAGNITUDE)
            spectra = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
            padding = self.config.padding or self.config.mel.padding
            return inverse_stft(spectra, self.window, self.config.mel.hop_length, padding)[:, None]

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does; on a CPU in float32, also reorder the weights: see ``vocos_packed.py``."""
        super().for_inference(precision)
        fits = self.precision == "float32" and self.device.type == "cpu" and PackedBackbone.available()
        self.backbone.packed = PackedBackbone(self.backbone) if fits else None
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """The author's network and his config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.vocos_layouts import check_mel_tensors, fields_of, network_tensors

        where = f"the publisher's config, layout {layout}"
        fields: BaseConfig = validate(cls.Config, fields_of(config or {}), where=where)
        check_mel_tensors(state, fields)
        return fields, network_tensors(state)


class Backbone(PackedModule):
    """The network up to the spectra: mel (B, F, N) -> (B, N, C). Parameters have the names of the author's weights."""

    def __init__(self, n_mels: int, channels: int, inner_channels: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(n_mels, channels, KERNEL, padding=KERNEL // 2)
        self.norm = nn.LayerNorm(channels, EPSILON)
        self.convnext = nn.ModuleList(Block(channels, inner_channels, 1 / layers) for _ in range(layers))
        self.final_layer_norm = nn.LayerNorm(channels, EPSILON)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.normal_(module.weight, std=DEVIATION)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # both have a bias here

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, N, C)."""
        if self.uses_packed:
            return self.packed(mel)
        rows = self.norm(self.embed(mel).mT)
        for block in self.convnext:
            rows = block(rows)
        return self.final_layer_norm(rows)


class Block(nn.Module):
    """ConvNeXt: depthwise convolution, layer norm, two linear layers, a factor for each channel; a residual around."""

    def __init__(self, channels: int, inner_channels: int, factor: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, EPSILON)
        self.pwconv1 = nn.Linear(channels, inner_channels)
        self.pwconv2 = nn.Linear(inner_channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), factor))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        inner = self.pwconv1(self.norm(self.along_time(rows)))
        return rows + self.gamma * self.pwconv2(F.gelu(inner))

    def along_time(self, rows: Tensor) -> Tensor:
        """The depthwise convolution (B, N, C) -> (B, N, C).

        On a CPU, the 2-D convolution has a kernel for channels that lie side by side, 10 times as fast as the 1-D
        convolution of transposed rows.
        """
        conv = self.dwconv
        if rows.device.type != "cpu":
            return conv(rows.mT).mT
        images, weight = rows.mT.unsqueeze(2), conv.weight.unsqueeze(2)  # (B, C, 1, N)
        return F.conv2d(images, weight, conv.bias, padding=(0, KERNEL // 2), groups=conv.groups).squeeze(2).mT
