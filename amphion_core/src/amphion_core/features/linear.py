"""Magnitude spectrogram of linear frequency: the input of VITS's posterior encoder (arXiv:2106.06103, section 2.1)."""

from pydantic import Field
from torch import Tensor

from amphion_core.config import BaseConfig
from amphion_core.features.mel_frames import MelFrameExtractor
from amphion_core.features.spectrum import framewise
from amphion_core.mel import Mel, MelConfig


class LinearSpectrogram(MelFrameExtractor):
    """Magnitude spectrogram without logarithm: (B, T) -> (B, n_fft / 2 + 1, N), float32, differentiable."""

    class Config(BaseConfig):
        """A mel convention. Its bands, edges and logarithm are not used."""

        mel: Mel = Field(
            default=MelConfig.preset("vits_22k_80"),
            description="convention of the audio's mel, for rate, FFT, window, hop, padding, power and epsilon",
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.mel.n_fft // 2 + 1

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The same as `linear_spectrogram`."""
        return linear_spectrogram(wave, self.config.mel, lengths)


def linear_spectrogram(wave: Tensor, mel: MelConfig, lengths: Tensor | None = None) -> Tensor:
    """Audio (B, T) at ``mel.sample_rate`` -> ``(|S|^2 + epsilon)^(power / 2)``, (B, n_fft / 2 + 1, N).

    N, ``lengths`` and errors as in `amphion_core.features.mel.mel_spectrogram`.
    """
    bins = mel.n_fft // 2 + 1
    return framewise(wave, mel, lengths, lambda magnitudes: magnitudes, bins=bins, dim=bins)
