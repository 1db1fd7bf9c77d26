"""NSF-HiFiGAN as a graph for ONNX. What its source draws is an input, so that the caller chooses the random numbers.

Letters: B batch, F mel bands, N frames, T samples, H sines.
"""

from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.api import OnnxGraph
from amphion_core.onnx_graph import example_mel
from amphion_vocoders.models.sine_source import Draws, HarmonicSource


class GlidingVocoding(nn.Module):
    """A vocoder whose source draws nothing."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, mel: Tensor, f0: Tensor) -> Tensor:
        """(B, F, N), (B, N) in Hz -> (B, T) in [-1, 1]."""
        return self.vocode(mel, f0, None)

    def vocode(self, mel: Tensor, f0: Tensor, draws: Draws | None) -> Tensor:
        """The same with what the source draws."""
        wave: Tensor = self.net(mel, signal=self.net.source(f0, draws))
        return wave[:, 0].clamp(-1, 1)


class HarmonicVocoding(GlidingVocoding):
    """A vocoder with harmonics that begin at random phases, and with noise."""

    def forward(self, mel: Tensor, f0: Tensor, phases: Tensor, noise: Tensor) -> Tensor:  # type: ignore[override]
        """(B, F, N), (B, N) in Hz, (1, 1, H) in cycles, (B, T, H) -> (B, T) in [-1, 1]."""
        return self.vocode(mel, f0, Draws(phases, noise))


def source_graph(net: Any) -> OnnxGraph:
    """The graph of an `NSFHiFiGAN` that hears its source."""
    mel = net.config.mel
    sines = net.config.harmonics + 1 if isinstance(net.source, HarmonicSource) else 0

    def inputs(length: int) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(0)
        f0 = 100 + 200 * torch.rand(2, length, generator=draw)
        f0[:, : length // 4] = 0
        made = {"mel": example_mel(mel.n_mels, length), "f0": f0}
        if sines:
            made["phases"] = torch.rand(1, 1, sines, generator=draw)
            made["noise"] = torch.randn(2, length * mel.hop_length, sines, generator=draw)
        return made

    axes = {"mel": {0: "batch", 2: "frames"}, "f0": {0: "batch", 1: "frames"}}
    if sines:
        axes["noise"] = {0: "batch", 1: f"{mel.hop_length}*frames"}
    described = {
        "mel": "mel spectrogram of the convention `mel`, float32 (batch, bands, frames)",
        "f0": "Hz, 0 where unvoiced, float32 (batch, frames)",
        "phases": f"random numbers from 0 to 1, float32 (1, 1, {sines}): where each sine begins, in cycles",
        "noise": f"normal random numbers, float32 (batch, samples, {sines})",
        "wave": "samples from -1 to 1, float32 (batch, samples), hop_length samples for each frame",
    }
    module = HarmonicVocoding(net) if sines else GlidingVocoding(net)
    return OnnxGraph(module, inputs, ("wave",), axes, described, shortest={"frames": 3})
