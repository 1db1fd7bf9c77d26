"""APNet2: mel spectrogram to amplitude and phase spectra by two ConvNeXt networks, and an inverse STFT.

Du, Lu, Ai, Ling: "APNet2: High-quality and High-efficiency Neural Vocoder with Direct Prediction of Amplitude and Phase
Spectra", arXiv:2311.11545, section 3. The blocks are those of ConvNeXt V2 (Woo et al., arXiv:2301.00808).
Layout read: "redmist328" (authors' release).
Deviations: with centred frames the authors' code makes (N - 1) * hop samples, ours N * hop; the first are the same. The
last convolutions for both parts of the phase are one.
A block normalises over all frames, so a chunk of a mel does not sound exactly as in the whole; see `ResponseNorm`.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import MelConfig, Precision
from amphion_core.config import validate
from amphion_core.modules.packed_conv import pack_convolutions
from amphion_vocoders.models.amplitude_phase import KERNEL, AmplitudePhaseVocoder
from amphion_vocoders.models.convnext import Backbone, draw_weights


class APNet2(AmplitudePhaseVocoder):
    """Feed-forward vocoder: mel (B, F, N) -> wave (B, 1, T), T = N * mel.hop_length."""

    class Config(AmplitudePhaseVocoder.Config):
        """The defaults are the paper's: 31.4 M parameters, 22.05 kHz."""

        channels: int = Field(default=512, gt=0, le=1 << 14, description="channels between the blocks")
        inner_channels: int = Field(default=1536, gt=0, le=1 << 16, description="channels inside a block")
        layers: int = Field(default=8, gt=0, le=20, description="number of ConvNeXt blocks in each branch")

    config: Config
    amplitude: "_Branch"
    phase: "_Branch"
    layouts = layouts_with_config = ("redmist328",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.amplitude = _Branch(config, self.bins)
        self.phase = _Branch(config, 2 * self.bins)

    @classmethod
    def example_config(cls) -> Config:
        """4 bands, 2 blocks of 8 channels, frames of 16 samples."""
        mel = MelConfig.preset("apnet2_22k_80").replace(n_mels=4, hop_length=4, n_fft=16, win_length=16)
        return cls.Config(mel=mel, channels=8, inner_channels=16, layers=2)

    def for_inference(self, precision: Precision = "float32") -> Self:
        """Prepare as every model does; on a CPU in float32, also reorder the weights: see ``convnext_packed.py``."""
        super().for_inference(precision)
        self.amplitude.for_inference(self.precision)
        self.phase.for_inference(self.precision)
        return self

    @classmethod
    def import_state_dict(
        cls, state: Mapping[str, Any], *, layout: str, config: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Tensor]]:
        """A published generator and its publisher's config as (Config, state dict).

        Raises WeightsError for a checkpoint or config of another kind, RecipeError for one that contradicts itself.
        """
        from amphion_vocoders.models.apnet_layouts import read_apnet2

        fields, tensors = read_apnet2(state, config or {})
        return validate(cls.Config, fields, where=f"the publisher's config, layout {layout}"), tensors


class _Branch(nn.Module):
    """The predictor of the amplitudes, or of both parts of the phase."""

    def __init__(self, config: APNet2.Config, outputs: int) -> None:
        super().__init__()
        self.backbone = Backbone(
            config.mel.n_mels, config.channels, config.inner_channels, config.layers, response_norm=True
        )
        self.head = nn.Sequential(nn.Conv1d(config.channels, outputs, KERNEL, padding=KERNEL // 2))
        draw_weights(self.head)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, outputs, N)."""
        return self.head(self.backbone(mel).mT)

    def for_inference(self, precision: Precision) -> None:
        """Reorder the weights where that is faster, on a CPU in float32."""
        self.backbone.for_inference(precision)
        if self.backbone.packed is not None:
            pack_convolutions(self.head)
