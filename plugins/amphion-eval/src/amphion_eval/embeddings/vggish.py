"""VGGish: 128 dimensions for each 0.96 s; the Frechet audio distance was defined with it.

Hershey et al.: "CNN Architectures for Large-Scale Audio Classification", arXiv:1609.09430. Layout: the public PyTorch
conversion of the authors' weights (``vggish-10086976.pth`` of harritaylor/torchvggish). As in the FAD of Amphion
v0.1, there is no ReLU after the last layer and no PCA; the values of Google's release therefore differ.
"""

from functools import cached_property

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import DataError
from amphion_eval.embeddings.checkpoint import load_into

RATE, FFT, WINDOW, HOP, BANDS, LOW, TOP = 16000, 512, 400, 160, 64, 125.0, 7500.0  # Hz, samples, bands, Hz
FRAMES = 96  # frames of a patch
BATCH = 64  # patches computed at a time


class VGGish(AudioEmbedding):
    """Mono audio at 16 kHz -> vectors (N, 128), one for each complete 0.96 s."""

    class Config(BaseConfig):
        """The weights and the device."""

        weights: str | None = Field(default=None, description="file of the published vggish-10086976.pth")
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, 128

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """Vectors of all patches. Raises DataError below 0.975 seconds, WeightsError without weights."""
        mel = torch.from_numpy(log_mel(audio.samples))
        count = len(mel) // FRAMES
        if not count:
            raise DataError("VGGish needs 0.975 seconds of audio")
        patches = mel[: count * FRAMES].view(count, 1, FRAMES, BANDS)
        found = [self._network(part.to(self.config.device)).cpu() for part in torch.split(patches, BATCH)]
        return Embedded(torch.cat(found).numpy())

    @cached_property
    def _network(self) -> nn.Module:
        source = "vggish-10086976.pth of github.com/harritaylor/torchvggish, release v0.1"
        return load_into(VGG(), self.config.weights, name="vggish", source=source).to(self.config.device)


class VGG(nn.Module):
    """Patches (B, 1, 96, 64) -> (B, 128)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for out, convs in ((64, 1), (128, 1), (256, 2), (512, 2)):
            for _ in range(convs):
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
                channels = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Before the linear layers the channels become the last dimension, as in the authors' TensorFlow network."""
        return self.embeddings(self.features(patches).permute(0, 2, 3, 1).flatten(1))


def log_mel(
    samples: "np.ndarray[tuple[int], np.dtype[np.float32]]",
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """(T,) -> (N, 64): mel spectrogram of complete windows, from magnitudes, on HTK's scale, as ln(x + 0.01)."""
    if len(samples) < WINDOW:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    magnitudes = np.abs(np.fft.rfft(frames * hann, FFT))
    return np.log(magnitudes @ filters().T + 0.01).astype(np.float32)


def filters() -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Triangular filters on the scale mel = 1127 ln(1 + f / 700), (64, 257); the bin at 0 Hz is in no filter."""
    bins = 1127 * np.log1p(np.arange(FFT // 2 + 1) * RATE / FFT / 700)
    edges = np.linspace(1127 * np.log1p(LOW / 700), 1127 * np.log1p(TOP / 700), BANDS + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    triangles[:, 0] = 0
    return triangles
