"""GE2E speaker embedding: 256 dimensions; the weights are those of the package `resemblyzer`.

Wan, Wang, Papir, Lopez Moreno: "Generalized End-to-End Loss for Speaker Verification", arXiv:1710.10467: three LSTM
layers on mels of 1.6 s, the last state projected; the mean over overlapping windows, of unit length. Values are those
of `embed_utterance` after `normalize_volume`; silences are not cut out, which the package does with webrtcvad. A ReLU
keeps all numbers above 0, so cosines are high: one speaker 0.86 to 0.90, two speakers 0.5 to 0.75 (measured).
"""

from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Embedded, MelConfig
from amphion_core.errors import MissingPackage, WeightsError
from amphion_core.features.mel import mel_filterbank

RATE, FFT, HOP, BANDS = 16000, 400, 160, 40  # Hz, samples, bands
WINDOW, STEP = 160, 77  # frames of a window, and between two: 1.3 windows a second
COVERED = 0.75  # share of the last window that must be sound
LEVEL = -30.0  # dB re full scale; quieter audio is raised to it
HINT = "pip install --no-deps resemblyzer==0.1.4"  # the weights in it are all that is used


class Resemblyzer(AudioEmbedding):
    """Mono audio at 16 kHz -> one vector (1, 256) of unit length."""

    class Config(BaseConfig):
        """Nothing to choose: the weights come with the package."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, 256

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """Raises MissingPackage without the weights."""
        samples = torch.from_numpy(_raised(audio.samples))
        starts = [0, *range(STEP, max(1, -(-(len(samples) + 1) // HOP) - WINDOW + STEP + 1), STEP)]
        if len(starts) > 1 and (len(samples) - starts[-1] * HOP) / (WINDOW * HOP) < COVERED:
            starts.pop()
        samples = F.pad(samples, (0, max(0, (starts[-1] + WINDOW) * HOP - len(samples))))
        mel = power_mel(samples)
        windows = torch.stack([mel[start : start + WINDOW] for start in starts])
        vector = self._network(windows).mean(0)
        return Embedded((vector / vector.norm())[None].numpy())

    @cached_property
    def _network(self) -> nn.Module:
        spec = PathFinder.find_spec("resemblyzer")  # its weights alone: importing it needs webrtcvad
        if spec is None or spec.origin is None:
            raise MissingPackage("the speaker embedding needs the weights in resemblyzer", hint=HINT)
        state = torch.load(Path(spec.origin).with_name("pretrained.pt"), map_location="cpu", weights_only=True)
        network = GE2E()
        kept = {key: value for key, value in state["model_state"].items() if not key.startswith("similarity_")}
        try:
            network.load_state_dict(kept)
        except RuntimeError as error:
            raise WeightsError(f"the installed resemblyzer has other weights: {error}", hint=HINT) from error
        return network.eval()


class GE2E(nn.Module):
    """Power mels (B, N, 40) -> (B, 256) of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """From the last layer's last state."""
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(F.relu(self.linear(hidden[-1])))


def power_mel(samples: Tensor) -> Tensor:
    """(T,) -> mel powers (N, 40), no logarithm; Slaney's filters from 0 to 8 kHz, zeros beyond the ends."""
    mel = MelConfig(sample_rate=RATE, n_fft=FFT, win_length=FFT, hop_length=HOP, n_mels=BANDS, fmin=0.0, fmax=RATE / 2)
    spectrum = torch.stft(
        samples, FFT, HOP, window=torch.hann_window(FFT), center=True, pad_mode="constant", return_complex=True
    )
    return (mel_filterbank(mel) @ spectrum.abs().square()).T


def _raised(samples: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    level = 10 * np.log10(max(float(np.square(samples, dtype=np.float64).mean()), 1e-20))
    return (samples * 10 ** (max(0.0, LEVEL - level) / 20)).astype(np.float32)
