"""SketchPulse: a vocoder that needs F0; sines at F0 with the level of the mel."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Mel, MelConfig, OnnxGraph, Vocoder
from amphion_core.errors import AudioError


class SketchPulse(Vocoder):
    """Mel (B, F, N) and F0 (B, N) -> wave (B, 1, T), T = N * mel.hop_length."""

    class Config(BaseConfig):
        """The mel convention."""

        mel: Mel = Field(default=MelConfig.preset("hifigan_22k_80"), description="mel convention of the input")

    config: Config
    needs_f0 = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.gain = nn.Parameter(torch.tensor(0.05))

    @classmethod
    def example_config(cls) -> Config:
        """The defaults are small."""
        return cls.Config()

    def example_inputs(self) -> dict[str, Any]:
        """Four frames at 120 Hz."""
        return {"mel": torch.zeros(1, self.config.mel.n_mels, 4), "f0": torch.full((1, 4), 120.0)}

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N), (B, N) -> (B, 1, T)."""
        if f0 is None:
            raise AudioError("this vocoder needs F0", hint="use an acoustic model whose result has f0")
        hop, rate = self.config.mel.hop_length, self.config.mel.sample_rate
        phase = (2 * torch.pi * f0.repeat_interleave(hop, 1) / rate).cumsum(1)
        level = torch.tanh(self.gain * mel.exp().mean(1)).repeat_interleave(hop, 1)
        return (level * phase.sin())[:, None]

    @torch.inference_mode()
    def vocode(self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(B, F, N), (B, N) -> (B, T)."""
        return self(mel, f0)[:, 0]

    def onnx_graph(self) -> OnnxGraph:
        """The mel (B, F, N) and F0 (B, N) -> the wave (B, 1, T)."""
        bands = self.config.mel.n_mels

        def inputs(length: int) -> dict[str, Tensor]:
            frames = torch.arange(length) / length
            return {"mel": -3 - frames.expand(2, bands, -1), "f0": 120 + 40 * frames.expand(2, -1)}

        axes = {"mel": {0: "batch", 2: "frames"}, "f0": {0: "batch", 1: "frames"}}
        described = {"mel": "logarithmic mel", "f0": "Hz, everywhere above 0", "wave": "samples"}
        return OnnxGraph(self, inputs, ("wave",), axes, described, lengths=(4, 10))
