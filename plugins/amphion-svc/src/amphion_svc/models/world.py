"""WORLD voice conversion: formants, colour and F0 of a recording become those of another voice; needs no training.

The envelope of the source is stretched along frequency so that its formants lie where those of the target lie, as
another length of the vocal tract does it (Eide, Gish: "A parametric approach to vocal tract length normalization",
ICASSP 1996). Then its mean over the recording becomes the mean of the target. Aperiodicity stays. Analysis and
synthesis are WORLD's: Morise, Yokomori, Ozawa, IEICE Transactions E99-D (2016). A trained converter must sound better.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from pydantic import Field
from scipy.fft import dct, idct
from torch import Tensor

from amphion_core.api import BaseConfig, FeaturePart, Mel, Synthesis, VoiceConverter
from amphion_core.errors import DataError
from amphion_core.features.f0 import require_package
from amphion_svc.world_sizes import WORLD_MEL, aperiodicity_bands, fft_size

Array = np.ndarray[Any, np.dtype[np.float64]]

MOST = 1.25  # factor on the formants that is still found between adults
STEPS = 45  # factors that are tried; neighbours differ by 1 %, and 1 is among them
BAND = 200.0, 5000.0  # Hz, where formants are compared
FINE = 40  # cepstral coefficients, up to the details of a mean envelope that belong to a voice
COARSE = 3  # cepstral coefficients of level and tilt, which are not compared to find formants
LOUDEST = 20.0  # dB, the largest change of the mean envelope in one bin


class World(VoiceConverter):
    """WORLD's frames of a recording and the mean envelope of any voice -> wave (B, T), T = N * mel.hop_length."""

    class Config(BaseConfig):
        """The frames and the F0 tracker."""

        mel: Mel = Field(default=WORLD_MEL, description="convention whose rate, hop and centres the frames have")
        f0: str = Field(default="f0_dio", description="feature that tracks F0; amphion list features")

    class Controls(BaseConfig):
        """What a request may change."""

        formants: float | None = Field(
            default=None, ge=0.5, le=2, description="factor on the frequencies of the formants (found by comparing)"
        )
        colour: float | None = Field(
            default=None, ge=0, le=1, description="share of the target's mean spectrum; 0 keeps the source's (1)"
        )

    config: Config
    output = "wave"
    needs_weights = False

    @classmethod
    def example_config(cls) -> Config:
        """A low rate, for speed."""
        return cls.Config(mel=WORLD_MEL.replace(sample_rate=16000, hop_length=80))

    def example_inputs(self) -> dict[str, Any]:
        """Two items of 12 and 8 frames with a flat envelope."""
        rate = self.config.mel.sample_rate
        bins, bands = fft_size(rate) // 2 + 1, aperiodicity_bands(rate)
        envelope = torch.full((2, bins, 12), -9.0)
        frames = torch.cat([envelope, torch.full((2, bands, 12), -30.0)], 1)
        return {
            "features": {"frames": frames, "voice": torch.zeros(2, bins)},
            "lengths": torch.tensor([12, 8]), "speaker": torch.zeros(2, bins), "f0": torch.full((2, 12), 150.0),
        }  # fmt: skip

    @property
    def features(self) -> dict[str, FeaturePart]:
        """WORLD's frames, and the mean envelope of the source."""
        given = {"mel": self.config.mel, "f0": self.config.f0}
        return {"frames": FeaturePart.named("world", **given), "voice": FeaturePart.named("world_voice", **given)}

    @property
    def voice_feature(self) -> FeaturePart:
        """The mean envelope of the target."""
        return self.features["voice"]

    @property
    def pitch_feature(self) -> FeaturePart:
        """The tracker of the config."""
        return FeaturePart.named(self.config.f0, mel=self.config.mel)

    def forward(self, features: Mapping[str, Tensor], lengths: Tensor, speaker: Tensor, f0: Tensor) -> Tensor:
        """The result of ``convert`` as (B, 1, T)."""
        wave = self.convert(features, lengths, speaker, f0=f0).wave
        assert wave is not None
        return wave[:, None]

    @torch.no_grad()
    def convert(
        self,
        features: Mapping[str, Tensor],
        lengths: Tensor,
        speaker: Tensor,
        *,
        f0: Tensor | None = None,
        seed: int | None = None,
        controls: Any = None,
    ) -> Synthesis:
        """Frames (B, K + A, N) and voice (B, K) of the source, speaker (B, K) of the target -> wave (B, T).

        The result does not depend on ``seed``. Raises DataError without F0, and for a speaker that is not a vector.
        """
        if f0 is None:
            raise DataError("svc/world needs F0", hint="give f0 (B, N) in Hz, 0 where unvoiced")
        if speaker.ndim != 2 or speaker.shape != features["voice"].shape:
            raise DataError("svc/world takes the vector of a recording", hint='the feature "world_voice" makes it')
        controls = controls or self.Controls()
        hop = self.config.mel.hop_length
        wave = torch.zeros(len(lengths), int(lengths.max()) * hop)
        for i, count in enumerate(lengths.tolist()):
            frames = features["frames"][i, :, :count].double().cpu().numpy()
            source, target = (vector[i].double().cpu().numpy() for vector in (features["voice"], speaker))
            found = self._converted(frames, source, target, f0[i, :count].double().cpu().numpy(), controls)
            wave[i, : count * hop] = torch.from_numpy(found)
        return Synthesis(lengths * hop, wave=wave.to(lengths.device), f0=f0)

    def _converted(self, frames: Array, source: Array, target: Array, f0: Array, controls: Any) -> Array:
        """One item: frames (K + A, N), mean envelopes (K,), F0 (N,) -> wave (N * hop_length,)."""
        bins = len(source)
        factor = controls.formants or formant_factor(source, target, self.config.mel.sample_rate)
        envelope = stretched(frames[:bins], factor)
        share = 1.0 if controls.colour is None else controls.colour
        change = share * smoothed(target - stretched(source[:, None], factor)[:, 0], FINE)
        bound = LOUDEST * np.log(10) / 10
        return self._synthesised(envelope + change.clip(-bound, bound)[:, None], frames[bins:], f0)

    def _synthesised(self, envelope: Array, coded: Array, f0: Array) -> Array:
        """Logarithmic envelope (K, N), coded aperiodicity (A, N) and F0 (N,) -> wave (N * hop_length,)."""
        pyworld = require_package("pyworld", "f0")
        mel = self.config.mel
        # WORLD puts its first frame at 0 s. One more frame is put before those of the mel, and its samples are cut off.
        f0, envelope, coded = (np.concatenate([each[..., :1], each], -1) for each in (f0, envelope, coded))
        size = 2 * (len(envelope) - 1)
        aperiodicity = pyworld.decode_aperiodicity(np.ascontiguousarray(coded.T), mel.sample_rate, size)
        power = np.exp(np.ascontiguousarray(envelope.T))
        made = pyworld.synthesize(f0, power, aperiodicity, mel.sample_rate, 1000 * mel.hop_length / mel.sample_rate)
        start = mel.hop_length - round(mel.first_centre * mel.sample_rate)
        count = (len(f0) - 1) * mel.hop_length
        return np.pad(made[max(start, 0) :], (max(-start, 0), count))[:count]


def formant_factor(source: Array, target: Array, rate: int) -> float:
    """The factor on frequency that makes the mean envelope ``source`` (K,) most like ``target`` (K,).

    Level and tilt are not compared, because recordings differ in them.
    """
    hertz = np.linspace(0, rate / 2, len(source))
    used = (hertz > BAND[0]) & (hertz < BAND[1])
    wanted = smoothed(target, FINE, COARSE)[used]
    factors = np.exp(np.linspace(-np.log(MOST), np.log(MOST), STEPS))
    shapes = (smoothed(stretched(source[:, None], factor)[:, 0], FINE, COARSE)[used] for factor in factors)
    return float(factors[np.argmin([np.square(shape - wanted).sum() for shape in shapes])])


def stretched(envelope: Array, factor: float) -> Array:
    """Envelopes (K, N) with every frequency multiplied by ``factor``; the last bin is repeated where none is left."""
    position = np.arange(len(envelope)) / factor
    low = np.minimum(position.astype(np.int64), len(envelope) - 1)
    high = np.minimum(low + 1, len(envelope) - 1)
    share = (position - low).clip(0, 1)[:, None]
    found: Array = envelope[low] * (1 - share) + envelope[high] * share
    return found


def smoothed(envelope: Array, count: int, first: int = 0) -> Array:
    """An envelope (K,) of its cepstral coefficients ``first`` to ``count`` - 1 only."""
    cepstrum = dct(envelope, type=1)
    cepstrum[:first] = cepstrum[count:] = 0
    found: Array = idct(cepstrum, type=1)
    return found
