"""Energy of each frame: the norm of its magnitude spectrum, which the energy predictor of FastSpeech 2 learns.

Ren et al.: "FastSpeech 2", arXiv:2006.04558, section 2.3: the L2 norm of the amplitude of each STFT frame.
"""

from pydantic import Field
from torch import Tensor

from amphion_core.config import BaseConfig
from amphion_core.features.mel_frames import MelFrameExtractor
from amphion_core.features.spectrum import framewise
from amphion_core.mel import Mel, MelConfig


class Energy(MelFrameExtractor):
    """L2 norm of magnitude spectra: (B, T) -> (B, 1, N), float32, differentiable. Silence is 0."""

    class Config(BaseConfig):
        """A mel convention. Its bands, edges, power, epsilon and logarithm are not used."""

        mel: Mel = Field(
            default=MelConfig.preset("tacotron2_22k_80"),
            description="convention of the audio's mel, for rate, FFT, window, hop and padding",
        )

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = 1

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The same as `energy`."""
        return energy(wave, self.config.mel, lengths)


def energy(wave: Tensor, mel: MelConfig, lengths: Tensor | None = None) -> Tensor:
    """Audio (B, T) at ``mel.sample_rate`` -> energy (B, 1, N), N = ``mel.frames(T)``, on the wave's device.

    ``lengths`` and errors as in `amphion_core.features.mel.mel_spectrogram`.
    """
    squared = mel.replace(power=2.0, epsilon=0.0)
    bins = mel.n_fft // 2 + 1
    return framewise(wave, squared, lengths, lambda powers: powers.sum(-1, keepdim=True).sqrt(), bins=bins, dim=1)
