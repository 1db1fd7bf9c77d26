"""Converts one piece of sound: features -> converter (-> vocoder) -> a wave as long and as loud as the piece."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from amphion_core.api import Audio, FeatureExtractor, Vocoder, VoiceConverter
from amphion_core.audio import Samples
from amphion_core.recording import report
from amphion_svc.plan import Contour

LOUDEST = 10.0  # factor on the level of a converted piece; more would raise the noise of a pause
FAINT = 1e-5  # level, as a root mean square, of digital silence


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of a recording, mono samples (T,) at the model's rate, and the voice that it gets.

    ``of_whole`` are the features of the whole recording, (1, G) each; ``speaker`` is (1) or (1, G); ``key_shift`` is in
    semitones.
    """

    samples: Samples
    of_whole: Mapping[str, Tensor]
    speaker: Tensor
    key_shift: float


class Converter:
    """A converter with its vocoder, its feature extractors by name, and its F0 tracker."""

    def __init__(
        self,
        net: VoiceConverter,
        vocoder: Vocoder | None,
        extractors: Mapping[str, FeatureExtractor],
        tracker: FeatureExtractor,
    ) -> None:
        self.net, self.vocoder, self.extractors, self.tracker = net, vocoder, extractors, tracker
        self.rate, self.hop = int(net.config.mel.sample_rate), int(net.config.mel.hop_length)

    @property
    def span(self) -> tuple[float, float]:
        """The range of F0 in Hz in which the model can sing: that of its tracker."""
        return float(self.tracker.config.fmin), float(self.tracker.config.fmax)

    def f0(self, samples: Samples) -> Contour:
        """F0 of mono samples (T,) at the model's rate: (N,) in Hz, 0 where unvoiced, in the frames of the mel."""
        with torch.autocast("cpu", enabled=False):
            found: Contour = self.tracker.extract(self._wave(samples))[0, 0].cpu().numpy()
        return found

    def feature(self, extractor: FeatureExtractor, samples: Samples) -> Tensor:
        """A feature of mono samples (T,) at the model's rate: (1, dim, N), or (1, dim) for one vector.

        In float32, also within a training in bf16: those that the network learned from are.
        """
        own = Audio(samples, self.rate).resample(extractor.sample_rate).samples
        with torch.autocast(self.net.device.type, enabled=False):
            return extractor.extract(torch.from_numpy(np.ascontiguousarray(own))[None].to(self.net.device))

    @torch.no_grad()
    def convert(self, sound: Sound, *, seed: int, controls: Any = None) -> Samples:
        """The piece in the other voice, (T,). Its loudness is that of the piece, and no sample exceeds full scale."""
        count = len(sound.samples)
        padded = self._padded(sound.samples)
        mel = self.net.config.mel
        frames = mel.frames(len(padded))
        f0 = torch.from_numpy(self.f0(padded) * np.float32(2 ** (sound.key_shift / 12)))[None].to(self.net.device)
        features = dict(sound.of_whole)
        features |= {
            name: self.feature(extractor, padded) for name, extractor in self.extractors.items() if name not in features
        }
        lengths = torch.tensor([frames], device=self.net.device)
        report("f0", f0[:, :frames], "BN", unit="Hz", mel=mel)
        made = self.net.convert(features, lengths, sound.speaker, f0=f0[:, :frames], seed=seed, controls=controls)
        if made.wave is not None:
            wave = made.wave[0]
        else:
            assert made.mel is not None and self.vocoder is not None
            report("mel", made.mel[..., :frames], "BFN", mel=mel)
            pitch = (f0 if made.f0 is None else made.f0) if self.vocoder.needs_f0 else None
            wave = self.vocoder.vocode(made.mel[..., :frames], pitch, seed=seed)[0]
        samples = wave.float().cpu().numpy()[:count]
        return as_loud(np.pad(samples, (0, count - len(samples))), sound.samples, self.rate)

    def _padded(self, samples: Samples) -> Samples:
        """The samples with silence after them: whole frames, and enough for the shortest mel."""
        mel = self.net.config.mel
        size = max(len(samples), mel.shortest, mel.n_fft)
        return np.pad(samples, (0, -(-size // self.hop) * self.hop - len(samples)))

    def _wave(self, samples: Samples) -> Tensor:
        return torch.from_numpy(self._padded(samples))[None]


def as_loud(made: Samples, source: Samples, rate: int) -> Samples:
    """``made`` (T,) with the loudness of ``source`` (ITU-R BS.1770 where it is long enough), but within full scale."""
    gain = min(LOUDEST, _level(source, rate) / max(_level(made, rate), FAINT))
    peak = float(np.abs(made).max(initial=0.0))
    return made * np.float32(min(gain, 1 / peak if peak else gain))


def _level(samples: Samples, rate: int) -> float:
    """The loudness as a factor; the root mean square for less than 0.4 seconds and for what is too quiet."""
    if len(samples) >= 0.4 * rate and np.isfinite(loudness := Audio(samples, rate).loudness()):
        return float(10 ** (loudness / 20))
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if len(samples) else 0.0
