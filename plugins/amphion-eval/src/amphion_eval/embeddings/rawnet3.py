"""RawNet3: a speaker embedding from the waveform with 256 dimensions; Amphion v0.1 offers it too.

Jung, Kim, Heo, Lee, Chung: "Pushing the Limits of Raw Waveform Speaker Recognition", arXiv:2203.08488: learned
band-pass filters, three Res2Net blocks, attentive statistics, one linear layer. The vector is the mean over 10 segments
of 3 s: the authors' inference cuts such segments, and Amphion v0.1 averages them. Layout: the authors' release
(``model.pt`` of huggingface.co/jungjee/RawNet3, MIT licence): 234 tensors under the key "model", 16,280,322 parameters,
without the classifier used in training. All tensors are read, also the constants of filters and pre-emphasis, and the
batch norms ``bn1`` and ``bn6``, which the release does not use. Deviations: none; equal segments are computed once.
"""

import math
from functools import cached_property

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import DataError
from amphion_eval.embeddings.checkpoint import load_into

RATE, SEGMENT, SEGMENTS = 16000, 48000, 10  # Hz, samples of a segment, segments of a recording
FILTERS, TAPS, HOP = 256, 251, 10  # number of filters, samples of one filter, samples between two outputs
LOWEST, NARROWEST = 50.0, 50.0  # Hz, the least lower edge and the least width of a filter's band
CHANNELS, SCALE = 1024, 8  # channels of a block, and the groups that they are split into
WIDTH, ATTENTION = 1536, 128  # channels before pooling, and inside the attention
DIM = 256
LEAST, MOST = 1e-4, 1e4  # limits of a variance


class RawNet3(AudioEmbedding):
    """Mono audio at 16 kHz, of any length -> one vector (1, 256), which is not normalised."""

    class Config(BaseConfig):
        """The weights and the device."""

        weights: str | None = Field(default=None, description="file of the published model.pt")
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, DIM

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """One vector (1, 256). Raises DataError for empty audio, WeightsError without weights."""
        network, (pieces, counts) = self._network, segments(audio.samples)
        waves = torch.from_numpy(pieces).to(self.config.device)
        found = torch.cat([network(wave[None]) for wave in waves])  # one by one, which needs little memory
        return Embedded(np.average(found.cpu().numpy(), 0, counts)[None].astype(np.float32))

    @cached_property
    def _network(self) -> nn.Module:
        source = "model.pt of huggingface.co/jungjee/RawNet3"
        return load_into(Network(), self.config.weights, name="rawnet3", source=source).to(self.config.device)


def segments(
    samples: "np.ndarray[tuple[int], np.dtype[np.float32]]",
) -> "tuple[np.ndarray[tuple[int, int], np.dtype[np.float32]], np.ndarray[tuple[int], np.dtype[np.intp]]]":
    """Cut audio into segments: (T,) -> segments (S, 48000), S <= 10, and how often each one counts (S,), 10 in total.

    The 10 starts are spaced evenly over the recording and rounded down; equal starts give one segment. Audio shorter
    than a segment is repeated to the length of a segment plus one sample, as in the release. Raises DataError for empty
    audio.
    """
    if not len(samples):
        raise DataError("RawNet3 needs audio that is not empty")
    if len(samples) < SEGMENT:
        samples = np.resize(samples, SEGMENT + 1)
    starts = np.linspace(0, len(samples) - SEGMENT, SEGMENTS).astype(int)
    starts, counts = np.unique(starts, return_counts=True)
    return np.stack([samples[start : start + SEGMENT] for start in starts]), counts


class Network(nn.Module):
    """Waves (B, T) -> vectors (B, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = nn.Sequential(_PreEmphasis(), nn.InstanceNorm1d(1, eps=1e-4, affine=True))
        self.conv1 = nn.Sequential()
        self.conv1.add_module("filterbank", _Filterbank())
        self.layer1 = _Block(FILTERS, dilation=2, pool=5)
        self.layer2 = _Block(CHANNELS, dilation=3, pool=3)
        self.layer3 = _Block(CHANNELS, dilation=4, pool=1)
        self.layer4 = nn.Conv1d(3 * CHANNELS, WIDTH, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * WIDTH, ATTENTION, 1), nn.ReLU(), nn.BatchNorm1d(ATTENTION), nn.Conv1d(ATTENTION, WIDTH, 1),
            nn.Softmax(2),
        )  # fmt: skip
        self.bn5 = nn.BatchNorm1d(2 * WIDTH)
        self.fc6 = nn.Linear(2 * WIDTH, DIM)
        self.bn1, self.bn6 = nn.BatchNorm1d(FILTERS), nn.BatchNorm1d(DIM)  # unused, but part of the published weights

    def forward(self, wave: Tensor) -> Tensor:
        """The outputs of all blocks are brought to one frame rate, joined and pooled over time."""
        x1 = self.layer1(self.features(wave))  # (B, 1024, N / 5)
        x2 = self.layer2(x1)  # (B, 1024, N / 15)
        x1 = F.max_pool1d(x1, 3)
        x3 = self.layer3(x1 + x2)
        frames = F.relu(self.layer4(torch.cat([x1, x2, x3], 1)))  # (B, 1536, N / 15)
        return self.fc6(self.bn5(self.statistics(frames)))

    def features(self, wave: Tensor) -> Tensor:
        """(B, T) -> logarithms of the filters' outputs minus the mean over time, (B, 256, N), 1600 frames a second."""
        x = torch.log(self.conv1(self.preprocess(wave)).abs() + 1e-6)
        return x - x.mean(2, keepdim=True)

    def statistics(self, frames: Tensor) -> Tensor:
        """(B, C, N) -> mean and standard deviation over time (B, 2 C), with weights per channel and frame.

        The attention also receives the unweighted mean and standard deviation.
        """
        mean, deviation = frames.mean(2, keepdim=True), frames.var(2, keepdim=True).clamp(LEAST, MOST).sqrt()
        context = torch.cat([frames, mean.expand_as(frames), deviation.expand_as(frames)], 1)
        weights = self.attention(context)  # (B, C, N), their sum over N is 1
        mean = (weights * frames).sum(2)
        variance = (weights * frames.square()).sum(2) - mean.square()
        return torch.cat([mean, variance.clamp(LEAST, MOST).sqrt()], 1)


class _PreEmphasis(nn.Module):
    """(B, T) -> (B, 1, T): x[t] - 0.97 x[t - 1]; x[1] serves as x[-1]."""

    flipped_filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("flipped_filter", torch.tensor([[[-0.97, 1.0]]]))

    def forward(self, wave: Tensor) -> Tensor:
        return F.conv1d(F.pad(wave[:, None], (1, 0), "reflect"), self.flipped_filter)


class _Filterbank(nn.Module):
    """Waves (B, 1, T) -> (B, 256, N): 128 bands with learned edges, and for each band an even and an odd filter.

    Ravanelli and Bengio, "SincNet", arXiv:1808.00158; the odd half: Pariente et al., arXiv:1910.10400. A band from f to
    g Hz is the real and the imaginary part of i w(t) (exp(2 pi i f t) - exp(2 pi i g t)) / (2 pi t (g - f)), t in
    seconds, w the Hamming window; 1 at t = 0. Both parts are separate outputs; their modulus is not computed.
    """

    window_: Tensor
    n_: Tensor

    def __init__(self) -> None:
        super().__init__()
        half = TAPS // 2
        self.low_hz_, self.band_hz_ = (nn.Parameter(torch.zeros(FILTERS // 2, 1)) for _ in range(2))
        window = torch.hamming_window(TAPS, periodic=False, dtype=torch.float64)
        self.register_buffer("window_", window[:half].float())  # only the taps before t = 0
        self.register_buffer("n_", 2 * math.pi * (torch.arange(-half, 0.0)[None] / RATE))  # 2 pi t

    def forward(self, wave: Tensor) -> Tensor:
        return F.conv1d(wave, self.filters(), stride=HOP)

    def filters(self) -> Tensor:
        """All filters, (256, 1, 251): the taps before t = 0, at 0, and after."""
        low = LOWEST + self.low_hz_.abs()
        high = (low + NARROWEST + self.band_hz_.abs()).clamp(max=RATE / 2)
        lower, upper, size = low * self.n_, high * self.n_, self.window_ / (self.n_ * (high - low))
        even, odd = size * (upper.sin() - lower.sin()), size * (lower.cos() - upper.cos())
        middle = torch.ones_like(low)
        pair = [torch.cat([even, middle, even.flip(1)], 1), torch.cat([odd, 0 * middle, -odd.flip(1)], 1)]
        return torch.cat(pair)[:, None]


class _Block(nn.Module):
    """(B, C, N) -> (B, 1024, N / pool): Res2Net (Gao et al., arXiv:1904.01169), pooling, scaling of channels.

    After the first layer the channels form eight groups: the last is kept, each other is added to the previous output
    and filtered. ReLU comes before the batch norms.
    """

    def __init__(self, channels: int, *, dilation: int, pool: int) -> None:
        super().__init__()
        width = CHANNELS // SCALE
        self.pool = pool
        self.conv1, self.bn1 = nn.Conv1d(channels, CHANNELS, 1), nn.BatchNorm1d(CHANNELS)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(SCALE - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(SCALE - 1))
        self.conv3, self.bn3 = nn.Conv1d(CHANNELS, CHANNELS, 1), nn.BatchNorm1d(CHANNELS)
        self.residual = nn.Sequential() if channels == CHANNELS else nn.Sequential(
            nn.Conv1d(channels, CHANNELS, 1, bias=False)
        )  # fmt: skip
        self.afms = _FeatureMapScaling()

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = self.bn1(F.relu(self.conv1(x))).chunk(SCALE, 1)
        found: list[Tensor] = []
        for part, conv, bn in zip(parts, self.convs, self.bns, strict=True):
            found.append(bn(F.relu(conv(part + found[-1] if found else part))))
        y = self.bn3(F.relu(self.conv3(torch.cat([*found, last], 1)))) + self.residual(x)
        return self.afms(F.max_pool1d(y, self.pool))


class _FeatureMapScaling(nn.Module):
    """(B, C, N) -> (B, C, N): shifts each channel by alpha, then scales it by a factor computed from the means.

    Jung et al., "Improved RawNet with Feature Map Scaling", arXiv:2004.00526; RawNet3 adds alpha.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(CHANNELS, 1))
        self.fc = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.alpha) * torch.sigmoid(self.fc(x.mean(2)))[:, :, None]
