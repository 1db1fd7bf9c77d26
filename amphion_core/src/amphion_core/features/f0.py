"""F0 in the frames of a mel: what its trackers share, from the centre of each frame to gaps without voice.

A tracker has a grid of times of its own. `F0Extractor` brings it to the centres of the mel's frames, so that F0, mel
and energy of one audio lie side by side. F0 is in Hz everywhere, 0 where there is no voice.
"""

import importlib
import warnings
from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from amphion_core.config import BaseConfig
from amphion_core.errors import AudioError, MissingPackage
from amphion_core.features.mel_frames import MelFrameExtractor
from amphion_core.features.spectrum import check_wave
from amphion_core.mel import Mel, MelConfig

Array = np.ndarray[Any, np.dtype[np.float64]]
SHORTEST = 0.1  # seconds; shorter audio is continued by silence, because trackers need a few periods
STEP = 0.005  # seconds between a tracker's own frames, where it can be chosen: WORLD's


class F0Extractor(MelFrameExtractor):
    """Base of the trackers: (B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Not differentiable."""

    class Config(BaseConfig):
        """The range to search, and the mel whose frames the result has."""

        mel: Mel = Field(
            default=MelConfig.preset("hifigan_22k_80"),
            description="convention of the audio's mel, for rate, hop and the centres of frames",
        )
        fmin: float = Field(default=50.0, gt=0, description="lowest F0 looked for, Hz")
        fmax: float = Field(default=1100.0, gt=0, description="highest F0 looked for, Hz; a soprano's high C is 1047")

        @model_validator(mode="after")
        def _range_fits(self) -> Self:
            if self.fmin >= self.fmax:
                raise ValueError(f"fmin: {self.fmin} Hz is not below fmax {self.fmax} Hz")
            if self.fmax > self.mel.sample_rate / 2:
                raise ValueError(f"fmax: {self.fmax} Hz is above half the rate, {self.mel.sample_rate / 2} Hz")
            return self

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = 1

    @abstractmethod
    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """Audio (T,) at ``sample_rate`` -> the tracker's own times in seconds, ascending, and its F0, both (M,)."""

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, 1, N), N = ``mel.frames(T)``, float32 on the wave's device. Items are tracked one by one.

        With ``lengths`` (B), in samples, an item's frames equal those it has alone, and frames beyond its own are 0.
        Raises AudioError as the mel does, and for samples that are not finite; MissingPackage.
        """
        mel = self.config.mel
        check_wave(wave, mel, lengths)
        if not torch.isfinite(wave).all():
            raise AudioError("the wave has samples that are not finite", hint="look for NaN in what made it")
        result = torch.zeros(len(wave), 1, mel.frames(wave.shape[1]))
        shortest = round(SHORTEST * mel.sample_rate)
        for i, length in enumerate([wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()):
            item = wave[i, :length].float()
            times, f0 = self.track(F.pad(item, (0, max(0, shortest - length))))
            count = mel.frames(length)
            result[i, 0, :count] = torch.from_numpy(align_f0(times, f0, frame_times(mel, count)))
        return result.to(wave.device)


def frame_times(mel: MelConfig, count: int) -> Array:
    """Centres of the first ``count`` frames of a mel, (N,), in seconds.

    >>> frame_times(MelConfig.preset("hifigan_22k_80"), 2) * 22050
    array([128., 384.])
    """
    return np.arange(count) * mel.hop_length / mel.sample_rate + mel.first_centre


def align_f0(times: Array, f0: Array, at: Array) -> Array:
    """F0 (M,) known at ``times`` (M,), in seconds, -> F0 (N,) at the times ``at``.

    The nearest known frame says whether there is voice. Between two voiced frames the logarithm is interpolated; a
    border between voice and none is never crossed. Before the first and after the last frame their values hold.
    """
    if len(times) < 2:
        return np.full(len(at), f0[0] if len(f0) else 0.0)
    right = np.searchsorted(times, at).clip(1, len(times) - 1)
    low, high = f0[right - 1], f0[right]
    share = ((at - times[right - 1]) / (times[right] - times[right - 1])).clip(0, 1)
    nearest = np.where(share < 0.5, low, high)
    both = (low > 0) & (high > 0)
    low, high = np.where(both, low, 1.0), np.where(both, high, 1.0)
    return np.where(both, low ** (1 - share) * high**share, nearest)


def voiced(f0: Tensor) -> Tensor:
    """F0 in Hz -> True where there is voice, same shape."""
    return f0 > 0


def interpolate_f0(f0: Tensor) -> Tensor:
    """F0 without gaps, (..., N) -> (..., N), Hz: the logarithm is a straight line across frames without voice.

    Before the first voiced frame and after the last their values hold; a row without any voice stays 0.

    >>> interpolate_f0(torch.tensor([0.0, 100.0, 0.0, 400.0, 0.0])).round()
    tensor([100., 100., 200., 400., 400.])
    """
    count = f0.shape[-1]
    place = torch.arange(count, device=f0.device).expand(f0.shape)
    has = voiced(f0)
    before = torch.where(has, place, -1).cummax(-1).values  # the last voiced frame up to here; -1: none
    after = torch.where(has, place, count).flip(-1).cummin(-1).values.flip(-1)  # the next one; count: none
    left = torch.where(before < 0, after, before).clamp(max=count - 1)
    right = torch.where(after == count, before, after).clamp(min=0)
    share = (place - left).to(f0.dtype) / (right - left).clamp(min=1)
    low, high = f0.gather(-1, left), f0.gather(-1, right)
    line = low.clamp_min(1e-9).log().lerp(high.clamp_min(1e-9).log(), share).exp()
    return torch.where(has, f0, torch.where(has.any(-1, keepdim=True), line, 0.0))


def require_package(module: str, extra: str) -> Any:
    """The imported ``module`` of an optional package. Raises MissingPackage with the line that installs ``extra``."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # by pyworld 0.3.5
            return importlib.import_module(module)
    except ImportError as error:  # also of what the package itself needs, such as setuptools below 82 for pyworld
        raise MissingPackage(
            f"{module} cannot be used: {error}", hint=f'pip install "amphion-core[{extra}]"'
        ) from error
