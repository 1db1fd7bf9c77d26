"""Loudness of each frame: the norm of its mel magnitudes, which the condition encoder of the SVC models reads.

Zhang et al.: "Leveraging Content-based Features from Multiple Acoustic Models for Singing Voice Conversion",
arXiv:2310.11160, with the definition of the published configurations: sqrt(sum over bands of exp(log-mel)^2).
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.api import BaseConfig, Mel, MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.features.mel_frames import MelFrameExtractor


class Loudness(MelFrameExtractor):
    """Norm of the mel magnitudes: (B, T) -> (B, 1, N), N = ``mel.frames(T)``, float32, differentiable.

    Silence is not 0, because each band has at least the mel's floor: floor * sqrt(F).
    """

    class Config(BaseConfig):
        """The mel convention."""

        mel: Mel = Field(default=MelConfig.preset("amphion_24k_100"), description="mel convention with a logarithm")

        @model_validator(mode="after")
        def _has_magnitudes(self) -> Self:
            if self.mel.log == "unit_db":
                raise ValueError("mel.log: unit_db is limited to 0..1, so loudness cannot be computed; use ln or log10")
            return self

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = 1

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The loudness of the frames of a mel. With ``lengths`` (B), in samples, frames after an item's own are 0.

        Raises AudioError for another shape, and for items shorter than ``mel.shortest`` samples.
        """
        mel = self.config.mel
        found = loudness_of_mel(mel_spectrogram(wave, mel, lengths), mel)
        if lengths is None:
            return found
        own = torch.tensor([mel.frames(length) for length in lengths.tolist()], device=wave.device)
        return found * (torch.arange(found.shape[2], device=wave.device) < own[:, None])[:, None]


def loudness_of_mel(log_mel: Tensor, mel: MelConfig) -> Tensor:
    """Log-mel (B, F, N) of a convention with ``log`` ln or log10 -> loudness (B, 1, N), differentiable.

    >>> loudness_of_mel(torch.zeros(1, 100, 1), MelConfig.preset("amphion_24k_100"))
    tensor([[[10.]]])
    """
    magnitudes = log_mel.exp() if mel.log == "ln" else 10**log_mel
    return magnitudes.norm(dim=1, keepdim=True)
