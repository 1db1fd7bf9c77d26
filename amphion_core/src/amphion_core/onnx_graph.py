"""What a model computes in an ONNX file: a module with named inputs and outputs, and the axes whose length may vary.

Letters: B batch, T samples, F mel bands, N frames.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """What ``ModelArchitecture.onnx_graph`` returns, and ``amphion export`` writes.

    ``forward`` of ``module`` has the names of the inputs as parameters and returns one tensor for each of ``outputs``.
    ``inputs(length)`` are examples of the inputs for a text or mel of that length, with a batch of at least two where
    the batch may vary. They are drawn from a fixed seed. The result for them may not be random.

    ``axes`` names the axes that may vary, for each input: ``{"mel": {0: "batch", 2: "frames"}}``; an axis that is
    always a multiple of another one is written ``"256*frames"``. Other axes are fixed. ``output_axes`` does the same
    for axes of outputs whose length only the network knows. ``lengths`` are two lengths at which the file is compared
    with the module; with the smaller one the module is recorded, so it must be at least 2. ``shortest`` is the smallest
    length of the inputs, by the names of axes, where it is not 1.

    ``described`` says of each input and output what it is, with its unit.
    """

    module: nn.Module
    inputs: Callable[[int], dict[str, Tensor]]
    outputs: tuple[str, ...]
    axes: Mapping[str, Mapping[int, str]]
    described: Mapping[str, str]
    output_axes: Mapping[str, Mapping[int, str]] | None = None
    lengths: tuple[int, int] = (24, 100)
    shortest: Mapping[str, int] | None = None


class _Vocoding(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]."""
        wave: Tensor = self.net(mel)[:, 0].clamp(-1, 1)
        return wave


def vocoder_graph(net: Any, *, shortest: int = 1) -> OnnxGraph:
    """The graph of a vocoder whose ``forward(mel)``, (B, F, N) -> (B, 1, T), is all of its work.

    ``shortest`` is the smallest number of frames for which the network works.
    """
    return OnnxGraph(
        _Vocoding(net),
        lambda length: {"mel": example_mel(net.config.mel.n_mels, length)},
        ("wave",),
        {"mel": {0: "batch", 2: "frames"}},
        {
            "mel": "mel spectrogram of the convention `mel`, float32 (batch, bands, frames)",
            "wave": "samples from -1 to 1, float32 (batch, samples), hop_length samples for each frame",
        },
        shortest={"frames": shortest},
    )


def example_mel(n_mels: int, frames: int) -> Tensor:
    """Random values as a logarithmic mel has them, for a batch of two: (2, F, N)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, n_mels, frames, generator=generator) * 2 - 4
