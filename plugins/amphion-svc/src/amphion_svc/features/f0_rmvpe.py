"""F0 by RMVPE: a U-net on log-mels that also finds the voice in songs with accompaniment.

Wei et al.: "RMVPE: A Robust Model for Vocal Pitch Estimation in Polyphonic Music", arXiv:2306.15412. Layouts read: the
authors' and those of voice conversion toolkits (``rmvpe.pt``). Decoding is the weighted mean of the bins around the
largest one.
"""

from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import Audio
from amphion_core.errors import WeightsError
from amphion_core.features.f0 import Array, F0Extractor
from amphion_core.weights import read_checkpoint
from amphion_core.weights_cache import sha256
from amphion_svc.features.pitch_bins import local_average, windowed
from amphion_svc.features.rmvpe_network import HOP, RATE, RMVPE, rmvpe_network

LOWEST, CENTS = 1997.3794084376191, 20  # cents above 10 Hz of the first bin, and between bins
WINDOW, OVERLAP = 20.48, 2.56  # seconds of audio computed at a time, and shared by neighbours; multiples of 32 frames
HINT = "hf download lj1995/VoiceConversionWebUI rmvpe.pt --local-dir FOLDER, then set weights=FOLDER/rmvpe.pt"


class F0RMVPE(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Works at 16 kHz in frames of 10 ms, on the wave's device."""

    class Config(F0Extractor.Config):
        """The weights, the range, the frames, and the threshold of voice."""

        RANGE: ClassVar[tuple[float, float]] = (31.7, 2006.0)  # Hz, covered by the bins

        weights: str | None = Field(default=None, description="file of a published checkpoint, such as rmvpe.pt")
        threshold: float = Field(
            default=0.03, ge=0, le=1, description="probability above which a frame is voiced; conversion tools use 0.03"
        )
        filtered: bool | None = Field(
            default=None,
            description="use the filters between encoder and decoder; null: if the checkpoint's were trained",
        )

    config: Config

    @property
    def variant(self) -> str:
        """The digest of the weights; empty where they are not on this computer."""
        path = Path(self.config.weights or "").expanduser()
        return sha256(path)[:16] if path.is_file() else ""

    def to(self, device: torch.device | str) -> Self:
        """Nothing to move: `track` uses the network on the device of the wave."""
        return self

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """The network's frames of 10 ms. Raises WeightsError without weights."""
        if not self.config.weights:
            raise WeightsError("f0_rmvpe needs the file of a published checkpoint", hint=HINT)
        samples = torch.from_numpy(Audio(wave.cpu().numpy(), self.sample_rate).resample(RATE).samples.copy())
        network = _network(self.config.weights, self.config.filtered, str(wave.device))
        bins = windowed(samples.to(wave.device), network.bins, HOP, WINDOW, OVERLAP)
        found, probability = local_average(bins, LOWEST + CENTS * np.arange(bins.shape[1]))
        times = np.arange(len(found)) * HOP / RATE
        voiced = (probability > self.config.threshold) & (found >= self.config.fmin) & (found <= self.config.fmax)
        return times, np.where(voiced, found, 0.0)


@lru_cache(maxsize=2)
def _network(weights: str, filtered: bool | None, device: str) -> RMVPE:
    """The network, loaded once per process. Raises WeightsError."""
    checkpoint = read_checkpoint(Path(weights).expanduser())
    return rmvpe_network(checkpoint, filtered=filtered, what=f"f0_rmvpe ({weights})").to(device)
