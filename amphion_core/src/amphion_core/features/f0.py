"""F0 in the frames of a mel: the base of all trackers, and functions for frames without voice.

Each tracker has its own frame times. `F0Extractor` interpolates its F0 at the centres of the mel's frames, so that F0,
mel and energy of one audio have the same frames. F0 is in Hz everywhere, and 0 where there is no voice.
"""

import importlib
import math
import warnings
from abc import abstractmethod
from typing import Any, ClassVar, Self

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
SHORTEST = 0.1  # seconds; silence is added to shorter audio, because trackers need a few periods
STEP = 0.005  # seconds between a tracker's own frames, if it can be chosen; the default of WORLD


class F0Extractor(MelFrameExtractor):
    """Base of the trackers: (B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Not differentiable."""

    class Config(BaseConfig):
        """The range of the search, and the mel that defines the frames. A subclass states its ``RANGE``."""

        RANGE: ClassVar[tuple[float, float]] = (0.0, math.inf)  # Hz that the tracker can find

        mel: Mel = Field(
            default=MelConfig.preset("hifigan_22k_80"),
            description="convention of the audio's mel, for rate, hop and the centres of frames",
        )
        fmin: float = Field(default=50.0, gt=0, description="lowest F0 of the search, Hz")
        fmax: float = Field(default=1100.0, gt=0, description="highest F0 of the search, Hz; soprano's high C: 1047")

        @model_validator(mode="after")
        def _range_fits(self) -> Self:
            if self.fmin >= self.fmax:
                raise ValueError(f"fmin: {self.fmin} Hz is not below fmax {self.fmax} Hz")
            if self.fmax > self.mel.sample_rate / 2:
                raise ValueError(f"fmax: {self.fmax} Hz is above half the rate, {self.mel.sample_rate / 2} Hz")
            low, high = self.RANGE
            if self.fmin < low or self.fmax > high:
                raise ValueError(f"fmin, fmax: {self.fmin} to {self.fmax} Hz is not within {low} to {high} Hz")
            return self

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = 1

    @abstractmethod
    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """Audio (T,) at ``sample_rate`` -> times of the tracker's frames in seconds, ascending, and F0; both (M,)."""

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, 1, N), N = ``mel.frames(T)``, float32 on the wave's device. Items are processed one by one.

        With ``lengths`` (B), in samples, an item's frames equal those it has alone, and frames beyond its own are 0.
        Raises AudioError like the mel, AudioError for samples that are not finite, and MissingPackage.
        """
        mel = self.config.mel
        check_wave(wave, mel, lengths)
        if not torch.isfinite(wave).all():
            raise AudioError("the wave has samples that are not finite", hint="check the step that produced the wave")
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
    """F0 (M,) at the times ``times`` (M,), in seconds, -> F0 (N,) at the times ``at`` (N,).

    The nearest frame decides whether a time is voiced. Between two voiced frames the logarithm of F0 is interpolated;
    between a voiced and an unvoiced frame nothing is interpolated. Times before the first frame get its value, and
    times after the last frame get the value of the last.
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
    """F0 in Hz -> True where there is voice; the shape stays."""
    return f0 > 0


def interpolate_f0(f0: Tensor) -> Tensor:
    """F0 (..., N) in Hz -> F0 without gaps (..., N): unvoiced frames get values on a straight line of the logarithm.

    Frames before the first voiced one get its value, and frames after the last voiced one get the value of the last. A
    row without voiced frames stays 0.

    >>> interpolate_f0(torch.tensor([0.0, 100.0, 0.0, 400.0, 0.0])).round()
    tensor([100., 100., 200., 400., 400.])
    """
    count = f0.shape[-1]
    index = torch.arange(count, device=f0.device).expand(f0.shape)
    has = voiced(f0)
    before = torch.where(has, index, -1).cummax(-1).values  # the last voiced frame up to here; -1: none
    after = torch.where(has, index, count).flip(-1).cummin(-1).values.flip(-1)  # the next one; count: none
    left = torch.where(before < 0, after, before).clamp(max=count - 1)
    right = torch.where(after == count, before, after).clamp(min=0)
    share = (index - left).to(f0.dtype) / (right - left).clamp(min=1)
    low, high = f0.gather(-1, left), f0.gather(-1, right)
    line = low.clamp_min(1e-9).log().lerp(high.clamp_min(1e-9).log(), share).exp()
    return torch.where(has, f0, torch.where(has.any(-1, keepdim=True), line, 0.0))


def require_package(module: str, extra: str) -> Any:
    """Import ``module`` of an optional package. Raises MissingPackage with the command that installs ``extra``."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # by pyworld 0.3.5
            return importlib.import_module(module)
    except ImportError as error:  # also raised by a missing requirement of the package, such as setuptools for pyworld
        raise MissingPackage(
            f"{module} cannot be used: {error}", hint=f'pip install "amphion-core[{extra}]"'
        ) from error
