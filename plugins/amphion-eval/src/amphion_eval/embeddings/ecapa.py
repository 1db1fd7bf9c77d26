"""ECAPA-TDNN: a speaker embedding from log-mels with 192 dimensions, the most widely used one.

Desplanques, Thienpondt, Demuynck: "ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in TDNN Based
Speaker Verification", arXiv:2005.07143, figures 1 and 2, with 1024 channels. Layout: SpeechBrain's
(``embedding_model.ckpt`` of huggingface.co/speechbrain/spkrec-ecapa-voxceleb, Apache-2.0), 20,767,552 parameters, with
its front end: 80 triangular filters on power spectra, in dB, limited to 80 dB below the maximum, minus the mean of each
band over the recording. Deviations from the paper, all as in SpeechBrain: no batch norm after the last layer; a batch
norm before the tanh of the attention; wider pooling; the input of each block is the output of the previous one only.
"""

import math
from functools import cached_property

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import DataError
from amphion_eval.embeddings.checkpoint import load_into

RATE, FFT, HOP, BANDS = 16000, 400, 160, 80  # Hz, samples, bands
RANGE = 80.0  # dB
CHANNELS, SCALE, SQUEEZED, ATTENTION, DIM = 1024, 8, 128, 128, 192
SHORTEST = 0.04  # seconds, five frames: the widest kernel mirrors four of them


class ECAPA(AudioEmbedding):
    """Mono audio at 16 kHz, of any length -> one vector (1, 192), which is not normalised."""

    class Config(BaseConfig):
        """The weights and the device."""

        weights: str | None = Field(default=None, description="file of SpeechBrain's embedding_model.ckpt")
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate, self.dim = RATE, DIM

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """One vector (1, 192). Raises DataError below 0.04 seconds, WeightsError without weights."""
        if audio.duration < SHORTEST:
            raise DataError(f"ECAPA needs {SHORTEST} seconds of audio")
        mel = log_mel(torch.from_numpy(audio.samples.copy()))
        return Embedded(self._network(mel[None].to(self.config.device)).cpu().numpy())

    @cached_property
    def _network(self) -> nn.Module:
        source = "embedding_model.ckpt of huggingface.co/speechbrain/spkrec-ecapa-voxceleb"
        return load_into(Network(), self.config.weights, name="ecapa", source=source).to(self.config.device)


class Network(nn.Module):
    """Log-mels (B, 80, N) -> vectors (B, 192)."""

    def __init__(self) -> None:
        super().__init__()
        first = _Layer(BANDS, CHANNELS, kernel=5)
        self.blocks = nn.ModuleList([first, *(_Block(dilation) for dilation in (2, 3, 4))])
        self.mfa = _Layer(3 * CHANNELS, 3 * CHANNELS)
        self.asp = _AttentivePooling(3 * CHANNELS)
        self.asp_bn = _Norm(6 * CHANNELS)
        self.fc = _Conv(6 * CHANNELS, DIM)

    def forward(self, mel: Tensor) -> Tensor:
        """Joins the outputs of the three blocks (multi-layer feature aggregation) and pools them over time."""
        found = [self.blocks[0](mel)]
        for block in self.blocks[1:]:
            found.append(block(found[-1]))  # (B, 1024, N)
        pooled = self.asp(self.mfa(torch.cat(found[1:], 1)))  # (B, 6144, 1)
        return self.fc(self.asp_bn(pooled))[..., 0]


class _Conv(nn.Module):
    """A convolution that keeps the number of frames; the input is mirrored at both ends."""

    def __init__(self, channels: int, out: int, *, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv1d(channels, out, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (self.padding, self.padding), "reflect") if self.padding else x)


class _Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class _Layer(nn.Module):
    """Convolution, ReLU, batch norm."""

    def __init__(self, channels: int, out: int, *, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = _Conv(channels, out, kernel=kernel, dilation=dilation), _Norm(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.conv(x)))


class _Block(nn.Module):
    """SE-Res2Block, figure 1: (B, 1024, N) -> (B, 1024, N)."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.tdnn1, self.tdnn2 = _Layer(CHANNELS, CHANNELS), _Layer(CHANNELS, CHANNELS)
        self.res2net_block = _Res2Net(dilation)
        self.se_block = _SqueezeExcitation()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x))))


class _Res2Net(nn.Module):
    """Eight groups of channels: the first is kept; each other is added to the previous output and filtered."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        width = CHANNELS // SCALE
        self.blocks = nn.ModuleList(_Layer(width, width, kernel=3, dilation=dilation) for _ in range(SCALE - 1))

    def forward(self, x: Tensor) -> Tensor:
        first, *parts = x.chunk(SCALE, 1)
        found: list[Tensor] = []
        for part, block in zip(parts, self.blocks, strict=True):
            found.append(block(part + found[-1] if found else part))
        return torch.cat([first, *found], 1)


class _SqueezeExcitation(nn.Module):
    """Scales each channel by a factor that depends on the means of all channels, equations 1 and 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _Conv(CHANNELS, SQUEEZED), _Conv(SQUEEZED, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv2(F.relu(self.conv1(x.mean(2, keepdim=True)))))


class _AttentivePooling(nn.Module):
    """(B, C, N) -> mean and standard deviation over time (B, 2 C, 1), weighted by channel and frame; equations 3-6.

    The attention also receives the unweighted mean and standard deviation (section 3.1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tdnn, self.conv = _Layer(3 * channels, ATTENTION), _Conv(ATTENTION, channels)

    def forward(self, x: Tensor) -> Tensor:
        equal = torch.full_like(x, 1 / x.shape[2])
        context = torch.cat([x, *(part.expand_as(x) for part in _statistics(x, equal))], 1)
        weights = torch.softmax(self.conv(torch.tanh(self.tdnn(context))), 2)
        return torch.cat(_statistics(x, weights), 1)


def _statistics(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and standard deviation: (B, C, N), weights with sum 1 over N -> (B, C, 1) each."""
    mean = (weights * x).sum(2, keepdim=True)
    return mean, (weights * (x - mean).square()).sum(2, keepdim=True).clamp_min(1e-12).sqrt()


def log_mel(wave: Tensor) -> Tensor:
    """(T,) -> log-mels (80, N) in dB without the mean of each band, N = 1 + T // 160; zeros are added at the ends."""
    window = torch.hamming_window(FFT)
    spectrum = torch.stft(wave, FFT, HOP, window=window, center=True, pad_mode="constant", return_complex=True)
    power = filters() @ (spectrum.real.square() + spectrum.imag.square())
    decibels = 10 * power.clamp_min(1e-10).log10()
    decibels = torch.maximum(decibels, decibels.max() - RANGE)
    return decibels - decibels.mean(1, keepdim=True)


def filters() -> Tensor:
    """Triangular filters, evenly spaced on the scale mel = 2595 log10(1 + f / 700), (80, 201).

    Both sides of a triangle have the slope of its lower side. Computed in float32, as in SpeechBrain: with float64 the
    log-mels of speech differ by up to 0.0006 dB.
    """
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, BANDS + 2) / 2595) - 1)  # Hz
    bins = torch.linspace(0, RATE / 2, FFT // 2 + 1)
    slopes = (bins - edges[1:-1, None]).abs() / (edges[1:-1] - edges[:-2])[:, None]
    return (1 - slopes).clamp_min(0)
