"""Audio: samples with their rate. Loads and saves wav, flac, ogg, mp3; resamples; measures loudness."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from amphion_core.errors import AudioError

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
Samples = np.ndarray[Any, np.dtype[np.float32]]
_PIECE = 1 << 16  # frames written at a time: given minutes at once, libsndfile's Vorbis encoder overflows the stack


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Float samples (T,) or (C, T), full scale at 1, and their rate in Hz."""

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        """Raises AudioError: not one or two axes, or no positive rate."""
        samples = np.asarray(self.samples, np.float32)
        if samples.ndim not in (1, 2):
            raise AudioError(f"audio of shape {samples.shape}: samples are (T,) or (C, T)")
        if self.sample_rate <= 0:
            raise AudioError(f"a sample rate of {self.sample_rate} Hz")
        object.__setattr__(self, "samples", samples)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file; more than one channel gives (C, T).

        Raises AudioError: missing, not audio, empty, or with samples that are not finite.
        """
        import soundfile

        path = Path(path)
        if not path.is_file():
            raise AudioError(f"there is no audio file {path}", hint="check the path")
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            formats = ", ".join(suffix.removeprefix(".") for suffix in FORMATS)
            raise AudioError(f"{path} is not readable audio: {error}", hint=f"known formats: {formats}") from error
        if not len(samples):
            raise AudioError(f"{path} holds no samples", hint="record or copy it again")
        if not np.isfinite(samples).all():
            raise AudioError(f"{path} holds samples that are not finite (NaN or infinite)", hint="write it again")
        return cls(samples[:, 0] if samples.shape[1] == 1 else samples.T.copy(), int(rate))

    def save(self, path: str | Path) -> Path:
        """Write a file whose suffix says the format, whole or not at all; 16-bit where the format has the choice.

        Samples beyond full scale are clipped, with a warning. Raises AudioError: unknown suffix, nothing to write, not
        finite; AmphionError when the place cannot be written.
        """
        from amphion_core.files import atomic_write

        path = self.check_target(path)
        if not self.samples.size:
            raise AudioError(f"{path} was not written: the audio is empty")
        if not np.isfinite(self.samples).all():
            raise AudioError(f"{path} was not written: the audio has samples that are not finite")
        if self.peak > 1:
            warnings.warn(f"{path}: samples beyond full scale ({self.peak:.2f}) are clipped", UserWarning, stacklevel=2)
        try:
            data = self._encoded(FORMATS[path.suffix.lower()])
        except (RuntimeError, ValueError) as error:  # soundfile's errors are RuntimeErrors
            at = f"at {self.sample_rate} Hz"
            raise AudioError(f"{path} cannot be written {at}: {error}", hint="use .wav") from error
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)  # by Python, which tells a full disk from other errors; libsndfile does not
        return path

    @staticmethod
    def check_target(path: str | Path) -> Path:
        """The path, if an audio file could be written there: ask before long work whose result goes there.

        Raises AudioError for an unknown suffix, AmphionError for a place that cannot be written.
        """
        from amphion_core.files import check_writable

        path = Path(path)
        if path.suffix.lower() not in FORMATS:
            raise AudioError(f"{path}: no audio format {path.suffix!r}", hint=f"use one of {', '.join(FORMATS)}")
        check_writable(path)
        return path

    @classmethod
    def concatenate(cls, pieces: Sequence["Audio"]) -> "Audio":
        """One audio after the other. Raises AudioError for none, or different rates or channels."""
        if not pieces or len({(piece.sample_rate, piece.samples.shape[:-1]) for piece in pieces}) != 1:
            raise AudioError("only audios of one rate and one channel count can be joined")
        return Audio(np.concatenate([piece.samples for piece in pieces], axis=-1), pieces[0].sample_rate)

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.samples.shape[-1] / self.sample_rate)

    @property
    def peak(self) -> float:
        """Largest magnitude; 1 is full scale."""
        return float(np.abs(self.samples).max(initial=0.0))

    def mono(self) -> "Audio":
        """The mean of the channels, (T,)."""
        return self if self.samples.ndim == 1 else Audio(self.samples.mean(0), self.sample_rate)

    def resample(self, sample_rate: int) -> "Audio":
        """At another rate in Hz, by soxr's high quality."""
        if sample_rate == self.sample_rate:
            return self
        import soxr

        return Audio(soxr.resample(self.samples.T, self.sample_rate, sample_rate, "HQ").T, sample_rate)

    def loudness(self) -> float:
        """Integrated loudness in LUFS, ITU-R BS.1770-4, at its own rate of 48 kHz; -inf for silence.

        Every channel weighs 1. Raises AudioError below 0.4 seconds.
        """
        if self.duration < 0.4:
            raise AudioError(f"loudness needs 0.4 seconds, this audio has {self.duration:.2f}")
        samples = np.atleast_2d(self.resample(48000).samples).astype(np.float64)
        power = np.square(_k_weighted(samples)).sum(0)
        ends = np.concatenate([[0.0], power.cumsum()])
        starts = np.arange(0, max(1, len(power) - 19200 + 1), 4800)  # blocks of 0.4 s, every 0.1 s
        blocks = (ends[np.minimum(starts + 19200, len(power))] - ends[starts]) / 19200
        loud = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]  # absolute gate
        if loud.size:
            loud = loud[loud > loud.mean() / 10]  # relative gate: 10 dB below
        return float(-0.691 + 10 * np.log10(loud.mean())) if loud.size else float("-inf")

    def normalize(self, loudness: float = -23.0) -> "Audio":
        """At another loudness in LUFS, or as loud as it can be with no sample beyond full scale.

        Raises AudioError for silence.
        """
        now = self.loudness()
        if now == float("-inf"):
            raise AudioError("silence has no loudness to change")
        gain = min(10 ** ((loudness - now) / 20), 1 / self.peak)
        return Audio((self.samples * np.float32(gain)).clip(-1, 1), self.sample_rate)

    def _encoded(self, form: str) -> bytes:
        """The file's content, clipped to full scale, 16-bit where the format has the choice."""
        import soundfile

        buffer, data = io.BytesIO(), np.clip(self.samples.T, -1, 1)
        channels = 1 if data.ndim == 1 else data.shape[1]
        with soundfile.SoundFile(buffer, "w", self.sample_rate, channels, format=form) as file:
            for start in range(0, len(data), _PIECE):
                file.write(data[start : start + _PIECE])
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """A player for notebooks; the audio is inside the page."""
        import base64

        data = base64.b64encode(self._encoded("WAV")).decode()
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio>'


# BS.1770-4, annex 1, tables 1 and 2, for 48 kHz: a high shelf for the head, then a high pass; above and below.
_SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)
_HIGH_PASS = (1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)


def _k_weighted(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(C, T) at 48 kHz through both filters: one product of spectra, and a second of silence for their response."""
    size = samples.shape[-1] + 48000
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = np.ones_like(z)
    for above, below in (_SHELF, _HIGH_PASS):
        response *= (above[0] + above[1] * z + above[2] * z * z) / (below[0] + below[1] * z + below[2] * z * z)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[..., : samples.shape[-1]]
