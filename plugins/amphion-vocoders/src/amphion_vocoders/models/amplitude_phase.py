"""What APNet and APNet2 share: the amplitudes of one network and the phases of another become a wave.

Ai and Ling: "APNet", arXiv:2305.07952, section III. The phase is the angle of two numbers that the network predicts,
so it is between -pi and pi and needs no unwrapping ("parallel phase estimation"). Both networks work at the rate of
frames; an inverse STFT makes the wave.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.api import BaseConfig, Mel, MelConfig
from amphion_core.modules.padding import reflect
from amphion_core.modules.workers import run_pieces
from amphion_vocoders.models.feed_forward import FeedForwardVocoder
from amphion_vocoders.models.inverse_stft import Padding, inverse_stft

KERNEL = 7  # of the first and of the last convolutions, frames


@dataclass(frozen=True, slots=True)
class Spectra:
    """Spectra of a wave, (B, bins, N) each, float32, bins = n_fft / 2 + 1.

    ``log_amplitude`` is the natural logarithm of the magnitude, ``phase`` the angle in radians from -pi to pi, ``real``
    and ``imaginary`` are the parts of the complex spectrum.
    """

    log_amplitude: Tensor
    phase: Tensor
    real: Tensor
    imaginary: Tensor

    @classmethod
    def of(cls, spectra: Tensor) -> Self:
        """Those of complex spectra S. ``log_amplitude`` is ln(|S| + 1e-5), as in the authors' code."""
        return cls((spectra.abs() + 1e-5).log(), spectra.angle(), spectra.real, spectra.imag)


class AmplitudePhaseVocoder(FeedForwardVocoder):
    """Mel (B, F, N) -> wave (B, 1, T), T = N * mel.hop_length. A subclass makes the modules of both branches."""

    class Config(BaseConfig):
        """The mel, which also states the frames of the output."""

        mel: Mel = Field(
            default=MelConfig.preset("apnet2_22k_80"),
            description="mel convention: bands F, rate in Hz; hop, window and FFT size are those of the output too",
        )
        padding: Padding | None = Field(
            default=None,
            description="where the inverse STFT has its frames, see MelConfig.padding; null: as the mel has them",
        )

        @model_validator(mode="after")
        def _frames_overlap(self) -> Self:
            if 4 * self.mel.hop_length > self.mel.win_length:
                raise ValueError(
                    f"mel: the hop {self.mel.hop_length} is more than a quarter of the window {self.mel.win_length}, "
                    "so the frames of the inverse STFT overlap too little"
                )
            return self

    config: Config
    window: Tensor
    amplitude: nn.Module  # mel (B, F, N) -> log amplitudes (B, bins, N)
    phase: nn.Module  # mel (B, F, N) -> pseudo-real and pseudo-imaginary parts, (B, 2 * bins, N)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.bins = config.mel.n_fft // 2 + 1
        self.loudest = math.log(config.mel.win_length / 2)  # no signal in [-1, 1] is above: the sum of a Hann window
        self.register_buffer("window", torch.hann_window(config.mel.win_length), persistent=False)

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, 1, T); ``f0`` is not used. Spectra and wave are float32 under autocast too."""
        return self.wave_of(self.spectra(mel))

    def spectra(self, mel: Tensor) -> Spectra:
        """(B, F, N) -> the predicted spectra. Amplitudes that no wave in [-1, 1] has are limited in the parts only."""
        log_amplitude, angle = self._branches(mel)
        with torch.autocast(mel.device.type, enabled=False):
            log_amplitude, (real, imaginary) = log_amplitude.float(), angle.float().chunk(2, 1)
            phase = torch.atan2(imaginary, real)
            magnitude = log_amplitude.clamp(max=self.loudest).exp()
            return Spectra(log_amplitude, phase, magnitude * phase.cos(), magnitude * phase.sin())

    def wave_of(self, spectra: Spectra) -> Tensor:
        """Spectra of N frames -> (B, 1, N * hop)."""
        with torch.autocast(spectra.real.device.type, enabled=False):
            rows = torch.complex(spectra.real, spectra.imaginary).mT
            padding = self.config.padding or self.config.mel.padding
            return inverse_stft(rows, self.window, self.config.mel.hop_length, padding)[:, None]

    def complex_spectra(self, wave: Tensor, frames: int) -> Tensor:
        """What a wave (B, T) has in the first frames of the output: complex (B, bins, N), N = ``frames``.

        There are T // hop frames, and one more with centred ones. The mirrored ends need half a frame of audio.
        """
        mel = self.config.mel.replace(padding=self.config.padding or self.config.mel.padding)
        with torch.autocast(wave.device.type, enabled=False):
            padded = reflect(wave.float(), *mel.pad)
            window, hop = self.window, mel.hop_length
            spectra = torch.stft(padded, mel.n_fft, hop, mel.win_length, window, center=False, return_complex=True)
            return spectra[..., :frames]

    def _branches(self, mel: Tensor) -> list[Tensor]:
        """The outputs of both branches. On a CPU each runs in its own thread, unless gradients are needed."""
        branches = [partial(branch, mel) for branch in (self.amplitude, self.phase)]
        plain = torch.is_grad_enabled() or torch.is_autocast_enabled(mel.device.type) or torch.compiler.is_compiling()
        if plain or mel.device.type != "cpu":  # threads have neither gradients nor autocast
            return [branch() for branch in branches]
        return run_pieces(branches)
