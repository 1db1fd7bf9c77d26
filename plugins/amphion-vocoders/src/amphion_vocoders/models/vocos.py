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

from amphion_core.api import BaseConfig, Mel, MelConfig, Precision
from amphion_core.config import validate
from amphion_vocoders.models.convnext import Backbone
from amphion_vocoders.models.feed_forward import FeedForwardVocoder
from amphion_vocoders.models.inverse_stft import Padding, inverse_stft

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
        """Prepare as every model does; on a CPU in float32, also reorder the weights: see ``convnext_packed.py``."""
        super().for_inference(precision)
        self.backbone.for_inference(self.precision)
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
