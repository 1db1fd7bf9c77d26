"""F0 by SwiftF0: a network of 0.1 MB that reads spectrograms; it is robust to noise and works on the CPU.

Nieradzik: "SwiftF0: Fast and Accurate Monophonic Pitch Detection", arXiv:2508.18440. The package
`swift-f0` computes it and contains the weights: amphion-core[swift].
"""

from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core.audio import Audio
from amphion_core.features.f0 import Array, F0Extractor, require_package


class F0Swift(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Works at 16 kHz in frames of 16 ms."""

    needs_packages = ("swift_f0",)

    class Config(F0Extractor.Config):
        """The range, the frames, and the threshold for voiced frames."""

        RANGE: ClassVar[tuple[float, float]] = (46.875, 2093.75)  # Hz, the range that the network was trained for

        threshold: float = Field(default=0.5, ge=0, le=1, description="smallest confidence of a voiced frame")

    config: Config

    @property
    def variant(self) -> str:
        """The version of the package, which contains the weights. Empty where it is not installed."""
        try:
            return f"swift-f0 {version('swift-f0')}"
        except PackageNotFoundError:
            return ""

    @cached_property
    def _detector(self) -> Any:
        package = require_package("swift_f0", "swift")
        return package.SwiftF0(threads=torch.get_num_threads(), spin=False)

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """Times and F0 of the network's frames of 16 ms. Raises MissingPackage."""
        samples = Audio(wave.cpu().numpy(), self.sample_rate).resample(16000).samples
        found = self._detector.detect(samples, 16000, self.config.fmin, self.config.fmax)
        return found.timestamps, np.where(found.confidence >= self.config.threshold, found.pitch_hz, 0.0)
