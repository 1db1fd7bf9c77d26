"""ContentExtractor: the base of features of what is said or sung, at 16 kHz in frames of 20 ms or another length.

Every recording is computed by itself, in windows where it is long. So neither padding nor other items of a batch change
its frames, and memory does not grow with its length.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, FeatureExtractor
from amphion_core.errors import AudioError, WeightsError
from amphion_svc.features.windows import in_windows

RATE, HOP = 16000, 320  # Hz, samples: a frame each 20 ms, where a feature does not state another `hop`
BATCH_CPU, BATCH_OTHER = 1, 8  # windows computed at a time


class ContentExtractor(FeatureExtractor):
    """Base of the content features: (B, T) at 16 kHz -> (B, dim, N), float32. No gradients."""

    class Config(BaseConfig):
        """The windows in which long recordings are computed."""

        window: float = Field(
            default=30.0, ge=1, le=600, description="longer recordings are computed in windows of this length, seconds"
        )
        overlap: float = Field(default=4.0, ge=0, description="part that neighbouring windows share, seconds")

        @model_validator(mode="after")
        def _windows_advance(self) -> Self:
            if self.overlap > self.window / 2:
                raise ValueError(f"overlap: {self.overlap} s is more than half the window of {self.window} s")
            return self

    config: Any
    sample_rate = RATE
    hop: ClassVar[int] = HOP  # samples between frames
    frame_shift = HOP / RATE
    receptive: int  # samples that one frame needs

    def __init__(self, config: BaseConfig) -> None:
        super().__init__(config)
        self._device = torch.device("cpu")
        self._network: nn.Module | None = None

    @abstractmethod
    def load_network(self) -> nn.Module:
        """The network in eval mode. Raises MissingPackage, WeightsError."""

    @abstractmethod
    def compute(self, waves: Tensor) -> Tensor:
        """Windows (B, T), all of them whole -> (B, dim, `frames(T)`)."""

    def prepare(self, wave: Tensor) -> Tensor:
        """One whole recording (T,) before it is cut into windows."""
        return wave

    @property
    def network(self) -> Any:
        """The network, loaded when it is first used. Raises MissingPackage, WeightsError."""
        if self._network is None:
            self._network = self.load_network().to(self._device)
        return self._network

    def to(self, device: torch.device | str) -> Self:
        """Move the network to ``device``; it is loaded when it is first used."""
        self._device = torch.device(device)
        if self._network is not None:
            self._network.to(self._device)
        return self

    def frames(self, samples: int) -> int:
        """N, the number of frames of ``samples`` (T) samples: those that lie inside the recording."""
        return max(0, (samples - self.receptive) // self.hop + 1)

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, dim, N), N = ``frames(T)``, on the wave's device. Frames after an item's own are 0.

        Raises AudioError for another shape, samples that are not finite and items without a frame, MissingPackage,
        and WeightsError without the weights.
        """
        counts = self._checked(wave, lengths)
        network_device = next(self.network.parameters()).device
        result = wave.new_zeros(len(wave), self.dim, self.frames(wave.shape[1]), dtype=torch.float32)
        hop, size = self.hop, round(self.config.window / self.frame_shift)  # samples, frames
        most = BATCH_CPU if network_device.type == "cpu" else BATCH_OTHER
        overlap = round(self.config.overlap / self.frame_shift)
        for row, item, samples in zip(result, wave, counts, strict=True):
            whole = self.prepare(item[:samples].float().to(network_device))
            total = self.frames(samples)

            def compute(starts: Sequence[int], whole: Tensor = whole, total: int = total) -> Tensor:
                last = starts[-1] + size >= total
                pieces = [whole[i * hop : None if last else (i + size - 1) * hop + self.receptive] for i in starts]
                return self._checked_dim(self.compute(torch.stack(pieces)))

            in_windows(compute, total, size, overlap, most=most, into=row[:, :total])
        return result

    def _checked(self, wave: Tensor, lengths: Tensor | None) -> list[int]:
        """The samples of each item. Raises AudioError for a wave or lengths that cannot be used."""
        if wave.ndim != 2 or not wave.is_floating_point() or not len(wave):
            found = f"{str(wave.dtype).removeprefix('torch.')} of shape {tuple(wave.shape)}"
            raise AudioError(f"a wave must be floats of shape (B, T), not {found}", hint="wave[None] makes a batch")
        counts = [wave.shape[1]] * len(wave) if lengths is None else [int(count) for count in lengths.tolist()]
        if len(counts) != len(wave) or max(counts) > wave.shape[1]:
            raise AudioError(f"lengths {counts} do not fit a wave of shape {tuple(wave.shape)}", hint="give one each")
        if min(counts) < self.receptive:
            raise AudioError(
                f"{min(counts)} samples are too few: a frame needs {self.receptive}, {self.receptive / RATE:.3f} s",
                hint="leave the recording out, or put silence after it",
            )
        if not torch.isfinite(wave).all():
            raise AudioError("the wave has samples that are not finite", hint="check the step that produced the wave")
        return counts

    def _checked_dim(self, frames: Tensor) -> Tensor:
        """Raises WeightsError where the weights give another number of channels than the config states."""
        if frames.shape[1] != self.dim:
            raise WeightsError(
                f"the weights {self.config.model} give {frames.shape[1]} channels, and the config states {self.dim}",
                hint=f"set dim={frames.shape[1]}, or choose other weights",
            )
        return frames
