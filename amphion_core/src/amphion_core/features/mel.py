"""Mel spectrogram of a waveform, in the convention of any published vocoder.

Mel scales: Slaney, "Auditory Toolbox", Interval Research technical report 1998-010, and the formula of HTK.
Conventions: `amphion_core.mel`. Agrees with librosa and torchaudio to 1e-4 on log-mels.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.config import BaseConfig
from amphion_core.features.mel_frames import MelFrameExtractor
from amphion_core.features.spectrum import framewise
from amphion_core.mel import Mel, MelConfig

_GROUPS = 2  # the lower half of the bands uses few bins, so two small products cost half of one large product


class MelSpectrogram(MelFrameExtractor):
    """Log-mel spectrogram: (B, T) -> (B, F, N), float32, differentiable."""

    class Config(BaseConfig):
        """The mel convention."""

        mel: Mel = Field(
            default=MelConfig.preset("hifigan_22k_80"), description="mel convention: a preset or its fields"
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.mel.n_mels

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The same as `mel_spectrogram`."""
        return mel_spectrogram(wave, self.config.mel, lengths)


def mel_spectrogram(wave: Tensor, mel: MelConfig, lengths: Tensor | None = None) -> Tensor:
    """Audio (B, T) at ``mel.sample_rate`` -> log-mel (B, F, N), N = ``mel.frames(T)``, on the wave's device.

    With ``lengths`` (B), in samples, an item's frames equal those it has alone, and frames beyond its own are 0.
    Raises AudioError for another shape, and for items shorter than ``mel.shortest`` samples.

    >>> mel_spectrogram(torch.zeros(1, 22050), MelConfig.preset("hifigan_22k_80")).shape
    torch.Size([1, 80, 86])
    """
    groups = _groups(mel, wave.device)

    def finish(magnitudes: Tensor) -> Tensor:  # (b, n, bins) -> (b, n, F)
        parts = [magnitudes[..., group.first : group.first + len(group.weights)] @ group.weights for group in groups]
        return _compress(torch.cat(parts, -1), mel)

    bins = max(group.first + len(group.weights) for group in groups)  # those above fmax are not needed
    return framewise(wave, mel, lengths, finish, bins=bins, dim=mel.n_mels)


def mel_of_linear(spectrum: Tensor, mel: MelConfig) -> Tensor:
    """Magnitudes (B, n_fft / 2 + 1, N), as `amphion_core.features.linear` computes them -> log-mel (B, F, N).

    Equal to `mel_spectrogram` of the same audio; for slices of a recording it needs no second STFT, and no padding.
    """
    groups = _groups(mel, spectrum.device)
    with torch.autocast(spectrum.device.type, enabled=False):  # in float32, as `mel_spectrogram`
        rows = spectrum.float().mT  # (B, N, bins)
        parts = [rows[..., group.first : group.first + len(group.weights)] @ group.weights for group in groups]
        return _compress(torch.cat(parts, -1), mel).mT


def hop_aligned_mel(wave: Tensor, mel: MelConfig, lengths: Tensor | None = None) -> Tensor:
    """Audio (B, T) -> log-mel (B, F, N) with exactly N = T // hop_length frames, one for each whole hop of audio.

    This is what a vocoder is trained on: it makes N * hop_length samples, which never are more than the recording has.
    A convention with ``padding: center`` has one frame more, centred at the end of the audio; it is left out here.
    With ``lengths`` (B), an item has lengths // hop_length frames, and later frames are 0. Errors as `mel_spectrogram`.

    >>> hop_aligned_mel(torch.zeros(1, 8192), MelConfig.preset("tacotron2_22k_80")).shape
    torch.Size([1, 80, 32])
    """
    count = wave.shape[-1] // mel.hop_length
    frames = mel_spectrogram(wave, mel, lengths)[..., :count]
    if lengths is None or mel.padding == "same":
        return frames
    own = lengths.to(wave.device)[:, None, None] // mel.hop_length
    return frames * (torch.arange(count, device=wave.device) < own)


def mel_filterbank(mel: MelConfig) -> Tensor:
    """Weights of the bins in each band, (F, n_fft / 2 + 1), float32 on the CPU. Each band is a triangle."""
    ends = _to_mel(torch.tensor([mel.fmin, mel.top], dtype=torch.float64), mel.scale)
    points = torch.linspace(float(ends[0]), float(ends[1]), mel.n_mels + 2, dtype=torch.float64)
    edges = _to_hertz(points, mel.scale)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = torch.linspace(0, mel.sample_rate / 2, mel.n_fft // 2 + 1, dtype=torch.float64)
    weights = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0)
    if mel.norm == "slaney":
        weights *= 2 / (high - low)  # area 1 over frequency
    return weights.float()


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbouring bands: the first bin that they use, and their weights (bins, bands)."""

    first: int
    weights: Tensor


@lru_cache(maxsize=32)
def _groups(mel: MelConfig, device: torch.device) -> tuple[_Group, ...]:
    """The filterbank on ``device`` in groups of bands, each without the bins that it does not use."""
    groups = []
    with torch.inference_mode(False):  # see spectrum._window
        for bands in mel_filterbank(mel).tensor_split(min(_GROUPS, mel.n_mels)):
            used = bands.sum(0).nonzero().flatten().tolist() or [0]  # narrow bands may fall between two bins
            first, end = used[0], used[-1] + 1
            groups.append(_Group(first, bands[:, first:end].T.contiguous().to(device)))
    return tuple(groups)


def _compress(magnitudes: Tensor, mel: MelConfig) -> Tensor:
    """Mel magnitudes -> values of the convention, element by element; the shape stays."""
    limited = magnitudes.clamp_min(mel.floor)
    if mel.log == "ln":
        return limited.log()
    if mel.log == "log10":
        return limited.log10()
    level = 20 / mel.power * limited.log10() - mel.reference_db  # dB
    return ((level - mel.min_db) / -mel.min_db).clamp(0, 1)


# Slaney: linear up to 1 kHz, 3 mels to 200 Hz; above, 27 mels to a factor of 6.4.
_KNEE, _SLOPE, _STEP = 1000.0, 3 / 200, math.log(6.4) / 27


def _to_mel(hertz: Tensor, scale: str) -> Tensor:
    if scale == "htk":
        return 2595 * torch.log10(1 + hertz / 700)
    above = _KNEE * _SLOPE + torch.log(hertz.clamp_min(_KNEE) / _KNEE) / _STEP
    return torch.where(hertz < _KNEE, hertz * _SLOPE, above)


def _to_hertz(mels: Tensor, scale: str) -> Tensor:
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    above = _KNEE * torch.exp(_STEP * (mels - _KNEE * _SLOPE))
    return torch.where(mels < _KNEE * _SLOPE, mels / _SLOPE, above)
