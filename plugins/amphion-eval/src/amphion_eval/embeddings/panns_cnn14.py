"""PANNs Cnn14: 2048 dimensions and 527 classes of AudioSet; text-to-audio papers report FD, IS and KL with it.

Kong et al.: "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition", arXiv:1912.10211,
table 2. Layout: the authors' release (``Cnn14_mAP=0.431.pth`` at 32 kHz, ``Cnn14_16k_mAP=0.438.pth``); the
constants of the spectrogram are computed here. The vector is the output of the first linear layer after its ReLU.
"""

from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded, MelConfig
from amphion_core.errors import DataError
from amphion_core.features.mel import mel_filterbank
from amphion_eval.embeddings.checkpoint import load_into

CLASSES, BANDS, FLOOR = 527, 64, 1e-10
SETTINGS = {16000: (512, 160, 8000.0), 32000: (1024, 320, 14000.0)}  # FFT, hop in samples, highest band in Hz
SHORTEST = 0.32  # seconds; of shorter audio no frame remains after five poolings


class PANNsCNN14(AudioEmbedding):
    """Mono audio of any length -> one vector (1, 2048) and one row of logits (1, 527)."""

    class Config(BaseConfig):
        """The weights, their sample rate and the device."""

        weights: str | None = Field(default=None, description="file of the published checkpoint")
        rate: Literal[16000, 32000] = Field(default=16000, description="sample rate of the weights, Hz")
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = config.rate, 2048

    @property
    def variant(self) -> str:
        """The sample rate of the weights."""
        return f"{self.config.rate // 1000} kHz"

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """One vector and its logits. Raises DataError below 0.32 seconds, WeightsError without weights."""
        if audio.duration < SHORTEST:
            raise DataError(f"PANNs needs {SHORTEST} seconds of audio")
        wave = torch.from_numpy(audio.samples.copy()).to(self.config.device)
        vectors, logits = self._network(wave[None])
        return Embedded(vectors.cpu().numpy(), logits.cpu().numpy())

    @cached_property
    def _network(self) -> nn.Module:
        name = {16000: "Cnn14_16k_mAP=0.438.pth", 32000: "Cnn14_mAP=0.431.pth"}[self.config.rate]
        return load_into(
            CNN14(self.config.rate), self.config.weights, name="panns_cnn14",
            source=f"{name} of zenodo.org/record/3987831", without="spectrogram_extractor.",
        ).to(self.config.device)  # fmt: skip


class CNN14(nn.Module):
    """Waves (B, T) -> vectors (B, 2048), logits (B, 527)."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.n_fft, self.hop, top = SETTINGS[rate]
        self.logmel_extractor = _Mel(rate, self.n_fft, top)
        self.window: Tensor
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.bn0 = nn.BatchNorm2d(BANDS)
        sizes = (1, 64, 128, 256, 512, 1024, 2048)
        for number, (channels, out) in enumerate(pairwise(sizes), 1):
            setattr(self, f"conv_block{number}", _Block(channels, out))
        self.fc1, self.fc_audioset = nn.Linear(2048, 2048), nn.Linear(2048, CLASSES)

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors, and logits before the sigmoid."""
        spectrum = torch.stft(wave, self.n_fft, self.hop, window=self.window, pad_mode="reflect", return_complex=True)
        decibels = 10 * (spectrum.abs().square().mT @ self.logmel_extractor.melW).clamp_min(FLOOR).log10()  # (B, N, F)
        x = self.bn0(decibels[:, None].transpose(1, 3)).transpose(1, 3)
        for number in range(1, 7):
            x = getattr(self, f"conv_block{number}")(x)
            x = F.avg_pool2d(x, 2) if number < 6 else x
        x = x.mean(3)  # over bands
        vectors = F.relu(self.fc1(x.amax(2) + x.mean(2)))
        return vectors, self.fc_audioset(vectors)


class _Mel(nn.Module):
    """The mel filters (bins, 64); they are part of the published weights."""

    def __init__(self, rate: int, n_fft: int, top: float) -> None:
        super().__init__()
        mel = MelConfig(
            sample_rate=rate, n_fft=n_fft, win_length=n_fft, hop_length=n_fft // 4, n_mels=BANDS, fmin=50.0, fmax=top
        )  # fmt: skip
        self.melW = nn.Parameter(mel_filterbank(mel).T.contiguous(), requires_grad=False)


class _Block(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
