"""EfficientAT: a small audio tagger, fast on a CPU: 384 dimensions and 527 classes of AudioSet.

Schmid, Koutini, Widmer: "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge Distillation",
arXiv:2211.04772: a MobileNetV3-Large (Howard et al., arXiv:1905.02244, table 1) on log-mels, here with width 0.4
(``mn04_as``, release v0.0.1, MIT licence). The vector is the mean over time and frequency before the classifier.
"""

from functools import cached_property

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_eval.analysis.windows import windows
from amphion_eval.embeddings.checkpoint import load_into

RATE, FFT, WINDOW, HOP, BANDS, TOP = 32000, 1024, 800, 320, 128, 15000.0  # Hz, samples, bands, Hz
CLASSES = 527
# kernel, expanded channels, channels, squeeze-and-excitation, hard swish, stride: the paper's table 1 at width 0.4
BLOCKS = (
    (3, 8, 8, False, False, 1), (3, 24, 16, False, False, 2), (3, 32, 16, False, False, 1), (5, 32, 16, True, False, 2),
    (5, 48, 16, True, False, 1), (5, 48, 16, True, False, 1), (3, 96, 32, False, True, 2), (3, 80, 32, False, True, 1),
    (3, 72, 32, False, True, 1), (3, 72, 32, False, True, 1), (3, 192, 48, True, True, 1), (3, 272, 48, True, True, 1),
    (5, 272, 64, True, True, 2), (5, 384, 64, True, True, 1), (5, 384, 64, True, True, 1),
)  # fmt: skip


class EfficientAT(AudioEmbedding):
    """Mono audio at 32 kHz -> for each of N windows of 10 s a vector and logits, (N, 384) and (N, 527)."""

    class Config(BaseConfig):
        """The weights, the windows and the device."""

        weights: str | None = Field(default=None, description="file of the published mn04_as_mAP_432.pt")
        window: float = Field(
            default=10.0, gt=0.1, description="seconds of audio for each vector; the last window may be shorter"
        )
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, BLOCKS[-1][1]

    @property
    def variant(self) -> str:
        """The name of the weights, which contains their width."""
        return "mn04_as"

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """Vectors and logits of all windows. Raises WeightsError without weights."""
        found = []
        for piece in windows(audio.samples, RATE, self.config.window):
            wave = F.pad(torch.from_numpy(piece.copy()), (0, max(0, FFT - len(piece))))
            found.append(self._network(log_mel(wave)[None, None].to(self.config.device)))
        vectors, logits = (torch.cat(parts).cpu().numpy() for parts in zip(*found))
        return Embedded(vectors, logits)

    @cached_property
    def _network(self) -> nn.Module:
        source = "mn04_as_mAP_432.pt of github.com/fschmid56/EfficientAT, release v0.0.1"
        return load_into(MobileNet(), self.config.weights, name="efficientat", source=source).to(self.config.device)


class MobileNet(nn.Module):
    """MobileNetV3: log-mels (B, 1, F, N) -> vectors (B, 384) and logits (B, 527)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Conv(1, 8, 3, stride=2, activation=nn.Hardswish())]
        channels = 8
        for kernel, expanded, out, squeezed, hard, stride in BLOCKS:
            layers.append(_Block(channels, kernel, expanded, out, squeezed=squeezed, hard=hard, stride=stride))
            channels = out
        layers.append(_Conv(channels, 384, 1, activation=nn.Hardswish()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(384, 512), nn.Hardswish(), nn.Dropout(0.2),
            nn.Linear(512, CLASSES),
        )  # fmt: skip

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors, and logits before the sigmoid."""
        vectors = self.classifier[:2](self.features(mel))
        return vectors, self.classifier[2:](vectors)


class _Conv(nn.Sequential):
    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: nn.Module | None
    ) -> None:
        conv = nn.Conv2d(channels, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(out, eps=1e-3), *([activation] if activation else []))


class _Block(nn.Module):
    """Inverted residual: expand the channels, filter each one, scale them, project them."""

    def __init__(
        self, channels: int, kernel: int, expanded: int, out: int, *, squeezed: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        self.is_residual = stride == 1 and channels == out
        activation = nn.Hardswish if hard else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != channels:
            layers.append(_Conv(channels, expanded, 1, activation=activation()))
        layers.append(_Conv(expanded, expanded, kernel, stride=stride, groups=expanded, activation=activation()))
        if squeezed:
            layers.append(_Excitations(expanded))
        layers.append(_Conv(expanded, out, 1, activation=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, N) -> (B, C', F', N')."""
        return x + self.block(x) if self.is_residual else self.block(x)


class _Excitations(nn.Module):
    """A list with one squeeze-and-excitation over channels, as the published weights have it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_Excitation(channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.conc_se_layers[0](x)


class _Excitation(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(8, int(channels / 4 + 4) // 8 * 8)
        squeezed += 8 * (squeezed < 0.9 * channels / 4)
        self.fc1, self.fc2 = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3))))))
        return x * weights[:, :, None, None]


def log_mel(wave: Tensor) -> Tensor:
    """(T,) -> log-mels (128, N): pre-emphasis, power spectra, Kaldi's filters, logarithm; scaled as in training."""
    wave = wave[1:] - 0.97 * wave[:-1]
    window = torch.hann_window(WINDOW, periodic=False)
    spectrum = torch.stft(wave, FFT, HOP, WINDOW, window, center=True, pad_mode="reflect", return_complex=True)
    return ((filters() @ spectrum.abs().square() + 1e-5).log() + 4.5) / 5


def filters() -> Tensor:
    """Triangular filters from 0 to 15 kHz, evenly spaced on the scale mel = 1127 ln(1 + f / 700), (128, 513).

    As in Kaldi, the bin at half the sample rate is in no filter.
    """
    bins = 1127 * torch.log1p(torch.arange(FFT // 2, dtype=torch.float64) * RATE / FFT / 700)
    edges = torch.linspace(0, 1, BANDS + 2, dtype=torch.float64) * 1127 * torch.log1p(torch.tensor(TOP / 700))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp_min(0)
    return F.pad(triangles, (0, 1)).float()
