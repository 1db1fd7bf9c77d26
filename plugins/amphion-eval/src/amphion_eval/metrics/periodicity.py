"""Periodicity RMSE: difference between the periodicity of generated and reference audio, from 0 to 1.

Morrison et al.: "Chunked Autoregressive GAN for Conditional Waveform Synthesis", arXiv:2110.10139, section 4: the
periodicity (strength of voicing) that CREPE gives in steps of 256 samples of the file (`torchcrepe`, full network,
Viterbi decoding); 0 where a frame is quieter than -60 dB. On a CPU, the network takes most of the time of an
evaluation. ``size: tiny`` is faster, but its values are not comparable with those of the full network.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_core.features.crepe_network import CrepeSize, crepe_network
from amphion_core.features.f0 import require_package
from amphion_eval.analysis.alignment import ALIGNMENT, Alignment, pairs, warp_path
from amphion_eval.analysis.cepstrum import FRAME, cepstra
from amphion_eval.analysis.signals import Samples, pair

HOP = 256  # samples, at the sample rate of the file
FMIN, FMAX = 50.0, 1100.0  # Hz
SILENCE = -60.0  # dB
SHORTEST = 0.1  # seconds
BATCH = 32  # frames computed at a time; more do not fit into the processor's cache


class PeriodicityRMSE(Metric):
    """Root mean square difference of the periodicity of frames, 0 to 1."""

    needs_packages = ("torchcrepe",)

    class Config(BaseConfig):
        """The size of the network, and the alignment of frames."""

        size: CrepeSize = Field(default="full", description="CREPE: 22 M weights, or tiny with 0.5 M")
        alignment: Alignment = Field(default="cut", description=f"{ALIGNMENT} of mel-cepstra")

    config: Config
    unit = ""
    higher_is_better = False
    library = "torchcrepe 0.0.24"

    @property
    def variant(self) -> str:
        """The network and the alignment."""
        return f"crepe {self.config.size}, {self.config.alignment}"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence and below 0.1 seconds, MissingPackage without torchcrepe."""
        x, s = pair(generated, reference, cut=False)
        if reference is None or min(len(x), len(s)) < SHORTEST * generated.sample_rate:
            raise DataError(f"periodicity needs {SHORTEST} seconds of audio")
        a, b = (periodicity(audio, self.config.size) for audio in (generated, reference))
        if self.config.alignment == "dtw":
            path = warp_path(*(cepstra(audio)[:, 1:] for audio in (generated, reference)))
            frames = (path * (FRAME * generated.sample_rate / HOP)).round().astype(np.int64)
            path = np.minimum(frames, [len(a) - 1, len(b) - 1])
        else:
            path = pairs(self.config.alignment, a[:, None], b[:, None])
        difference = a[path[:, 0]] - b[path[:, 1]]
        return Score(float(np.sqrt(np.square(difference).mean())), {"frames": float(len(path))})


@lru_cache(maxsize=4)
def periodicity(audio: Audio, size: CrepeSize) -> Samples:
    """The periodicity (N,) of one audio, 0 to 1, a frame each 256 samples. Raises MissingPackage."""
    crepe: Any = require_package("torchcrepe", "crepe")
    wave = torch.from_numpy(audio.mono().samples)[None]
    frames = crepe.preprocess(wave, audio.sample_rate, HOP, BATCH, "cpu", pad=True)
    bins = torch.cat([crepe_network(size)(part) for part in frames]).T[None]  # (1, 360, N)
    _, found = crepe.postprocess(bins, FMIN, FMAX, crepe.decode.viterbi, False, True)
    return crepe.threshold.Silence(SILENCE)(found, wave, audio.sample_rate, HOP)[0].numpy().astype(np.float64)
