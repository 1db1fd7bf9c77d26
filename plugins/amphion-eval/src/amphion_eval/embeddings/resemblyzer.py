"""GE2E speaker embedding: 256 dimensions; the weights are those of the package `resemblyzer`.

Wan, Wang, Papir, Lopez Moreno: "Generalized End-to-End Loss for Speaker Verification", arXiv:1710.10467: three LSTM
layers on mels of 1.6 s and a projection of the last state; the mean over overlapping windows, with unit length. Values
are those of `embed_utterance` after `normalize_volume`, except that silences are kept (the package removes them with
webrtcvad). A ReLU keeps all numbers above 0, so cosines are high: 0.86 to 0.90 for one speaker, 0.5 to 0.75 for two
(measured).
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
WINDOW, STEP = 160, 77  # frames of a window, and between the starts of two: 1.3 windows a second
COVERED = 0.75  # share of the last window that must lie inside the audio
LEVEL = -30.0  # dB below full scale; quieter audio is amplified to this level
Samples = np.ndarray[tuple[int], np.dtype[np.float32]]
HINT = "pip install --no-deps resemblyzer==0.1.4"  # only the weights in the package are used


class Resemblyzer(AudioEmbedding):
    """Mono audio at 16 kHz -> one vector (1, 256) of unit length."""

    needs_packages = ("resemblyzer",)

    class Config(BaseConfig):
        """Empty: the package contains the weights."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, 256

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """One vector (1, 256). Raises MissingPackage without the weights."""
        samples = torch.from_numpy(_amplified(audio.samples))
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
        spec = PathFinder.find_spec("resemblyzer")  # not imported, because that needs webrtcvad
        if spec is None or spec.origin is None:
            raise MissingPackage("the speaker embedding needs the weights in the package resemblyzer", hint=HINT)
        state = torch.load(Path(spec.origin).with_name("pretrained.pt"), map_location="cpu", weights_only=True)
        network = GE2E()
        kept = {key: value for key, value in state["model_state"].items() if not key.startswith("similarity_")}
        try:
            network.load_state_dict(kept)
        except RuntimeError as error:
            raise WeightsError(f"the weights in the installed resemblyzer do not fit: {error}", hint=HINT) from error
        return network.eval()


class GE2E(nn.Module):
    """Power mels (B, N, 40) -> (B, 256) of unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """Vectors from the last state of the last layer."""
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(F.relu(self.linear(hidden[-1])))


def power_mel(samples: Tensor) -> Tensor:
    """(T,) -> mel powers (N, 40) without logarithm; Slaney's filters from 0 to 8 kHz, zeros added at the ends."""
    mel = MelConfig(sample_rate=RATE, n_fft=FFT, win_length=FFT, hop_length=HOP, n_mels=BANDS, fmin=0.0, fmax=RATE / 2)
    spectrum = torch.stft(
        samples, FFT, HOP, window=torch.hann_window(FFT), center=True, pad_mode="constant", return_complex=True
    )
    return (mel_filterbank(mel) @ spectrum.abs().square()).T


def _amplified(
    samples: "np.ndarray[tuple[int], np.dtype[np.float32]]",
) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    level = 10 * np.log10(max(float(np.square(samples, dtype=np.float64).mean()), 1e-20))
    return (samples * 10 ** (max(0.0, LEVEL - level) / 20)).astype(np.float32)
