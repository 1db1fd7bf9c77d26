"""Audio: samples with their rate. Reads and writes wav, flac, ogg and mp3, resamples, and measures loudness."""

import io
import math
import operator
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from amphion_core.audio_files import HIGHEST_RATE, AudioFileError
from amphion_core.audio_files.encoding import FORMATS, encode
from amphion_core.errors import AudioError

Samples = np.ndarray[Any, np.dtype[np.float32]]
LOUDEST = 32.0  # peak above which samples must be integers stored as floats; overdriven audio stays below 30 dB
_PIECE = 1 << 16  # frames written at a time


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Float samples (T,) or (C, T) with their rate in Hz. Full scale is 1."""

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        """Raises AudioError for samples that are not numbers in one or two axes, and for a rate that no audio has."""
        object.__setattr__(self, "samples", _as_samples(self.samples))
        object.__setattr__(self, "sample_rate", _as_rate(self.sample_rate))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file: (T,) for one channel, (C, T) for more.

        A file that was cut short is refused; one that only may have been cut short is read with a warning.
        Raises AudioError for a path that is missing or not a file, and for a file that is not audio, is empty, was cut
        short, or has samples that are not finite or are integers stored as floats.
        """
        from amphion_core.audio_files.reading import AudioFile

        with AudioFile(path := as_path(path)) as file:
            samples, rate, doubt = file.whole(), int(file.samplerate), file.doubt
        if not len(samples):
            raise AudioFileError(path, "it holds no samples", hint="record or copy it again")
        check_peak(path, peak_of(samples))
        if doubt is not None:
            warnings.warn(f"{path}: {doubt}", UserWarning, stacklevel=2)
        return cls(samples[:, 0] if samples.shape[1] == 1 else samples.T.copy(), rate)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a file completely or not at all. The suffix decides the format; the samples have 16 bits if possible.

        Samples beyond full scale are clipped, with a warning. Raises AudioError for an unknown suffix and for audio
        that is empty or not finite, AmphionError when the path cannot be written.
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
            data = self._encoded(path.suffix)
        except (RuntimeError, ValueError) as error:  # soundfile's errors are RuntimeErrors
            at = f"at {self.sample_rate} Hz"
            raise AudioError(f"{path} cannot be written {at}: {error}", hint="use .wav") from error
        with atomic_write(path) as temporary:
            temporary.write_bytes(data)  # not by libsndfile, which does not report that the disk is full
        return path

    @staticmethod
    def check_target(path: str | os.PathLike[str]) -> Path:
        """Check that an audio file can be written at ``path``; for use before long work. Returns the path.

        Raises AudioError for an unknown suffix, AmphionError for a path that cannot be written.
        """
        from amphion_core.files import check_writable

        path = as_path(path)
        if path.suffix.lower() not in FORMATS:
            raise AudioError(f"{path}: no audio format {path.suffix!r}", hint=f"use one of {', '.join(FORMATS)}")
        check_writable(path)
        return path

    @classmethod
    def concatenate(cls, pieces: Sequence["Audio"]) -> "Audio":
        """The pieces one after the other. Raises AudioError for none, or for different rates or numbers of channels."""
        if not isinstance(pieces, list | tuple) or not all(isinstance(piece, Audio) for piece in pieces):
            raise AudioError("only a list of Audio can be joined")
        if not pieces or len({(piece.sample_rate, piece.samples.shape[:-1]) for piece in pieces}) != 1:
            raise AudioError("only audio of one rate and one number of channels can be joined")
        return Audio(np.concatenate([piece.samples for piece in pieces], axis=-1), pieces[0].sample_rate)

    @property
    def duration(self) -> float:
        """The length in seconds."""
        return float(self.samples.shape[-1] / self.sample_rate)

    @property
    def peak(self) -> float:
        """The largest magnitude of a sample; 1 is full scale."""
        return float(np.abs(self.samples).max(initial=0.0))

    def mono(self) -> "Audio":
        """The mean of all channels, (T,)."""
        return self if self.samples.ndim == 1 else Audio(self.samples.mean(0), self.sample_rate)

    def resample(self, sample_rate: int) -> "Audio":
        """The audio at another rate in Hz, by soxr with its high quality. Raises AudioError for a wrong rate."""
        sample_rate = _as_rate(sample_rate)
        if sample_rate == self.sample_rate:
            return self
        import soxr

        return Audio(soxr.resample(self.samples.T, self.sample_rate, sample_rate, "HQ").T, sample_rate)

    def loudness(self) -> float:
        """Integrated loudness in LUFS by ITU-R BS.1770-4, measured at 48 kHz; -inf for silence.

        Every channel has the weight 1. Raises AudioError for audio shorter than 0.4 seconds.
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
        """The audio at another loudness in LUFS, but never so loud that a sample goes beyond full scale.

        Raises AudioError for silence.
        """
        now = self.loudness()
        if now == float("-inf"):
            raise AudioError("the audio is silent, so its loudness cannot be changed")
        gain = min(10 ** ((loudness - now) / 20), 1 / self.peak)
        return Audio((self.samples * np.float32(gain)).clip(-1, 1), self.sample_rate)

    def _encoded(self, suffix: str) -> bytes:
        """The content of an audio file, clipped to full scale, with 16 bits if the format allows it."""
        buffer, data = io.BytesIO(), np.clip(self.samples.T, -1, 1)
        channels = 1 if data.ndim == 1 else data.shape[1]
        blocks = (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))
        encode(buffer, blocks, sample_rate=self.sample_rate, channels=channels, suffix=suffix)
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """A player for notebooks; the page contains the audio."""
        import base64

        data = base64.b64encode(self._encoded(".wav")).decode()
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio>'


def peak_of(samples: Samples) -> float:
    """The largest magnitude of at least one sample; NaN if any sample is."""
    return max(-float(samples.min()), float(samples.max()))


def check_peak(path: str | os.PathLike[str], peak: float) -> None:
    """Raise AudioFileError for the peak of a file whose samples are not finite, or are integers stored as floats."""
    if not math.isfinite(peak):
        raise AudioFileError(Path(path), "it has samples that are not finite (NaN or infinite)", hint="write it again")
    if peak > LOUDEST:
        reason = f"its samples have the scale of integers: the peak is {peak:,.0f}, but full scale is 1"
        hint = f"if they have 16 bits: ffmpeg -i {path} -af volume=1/32768 NEW.wav"
        raise AudioFileError(Path(path), reason, hint=hint)


def as_path(path: str | os.PathLike[str]) -> Path:
    """``path`` as a Path. Raises AudioError for anything but a text or a path."""
    try:
        return Path(path)
    except TypeError as error:
        raise AudioError(f"{path!r:.100} is not the path of a file", hint='write a text: "speech.wav"') from error


def _as_samples(samples: Any) -> Samples:
    """Samples as a float32 array. Raises AudioError for other things than real numbers, and for integers of audio."""
    try:
        array = np.asarray(samples)
    except (ValueError, TypeError, RuntimeError) as error:  # lists of different lengths, tensors with a gradient
        raise AudioError(
            f"samples that are no array: {error}", hint="give a float array of shape (T,) or (C, T)"
        ) from error
    if array.dtype.kind not in "fiu":
        raise AudioError(f"samples of type {array.dtype}", hint="give a float array; full scale is 1")
    if array.ndim not in (1, 2):
        raise AudioError(f"audio of shape {array.shape}: samples are (T,) or (C, T)")
    if array.dtype.kind != "f" and array.size and (array.min() < -1 or array.max() > 1):
        raise AudioError("samples that are integers, beyond full scale", hint="full scale is 1: samples / 32768")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which `save` refuses
        return array.astype(np.float32, copy=False)


def _as_rate(rate: Any) -> int:
    """A sample rate as an int. Raises AudioError for what is not a whole number of Hz that audio can have."""
    try:
        whole = int(rate) if isinstance(rate, float | np.floating) and rate.is_integer() else operator.index(rate)
    except TypeError:
        whole = 0
    if isinstance(rate, bool | np.bool_) or not 1 <= whole <= HIGHEST_RATE:
        raise AudioError(f"a sample rate of {rate!r:.50} Hz", hint=f"give a whole number from 1 to {HIGHEST_RATE}")
    return whole


# BS.1770-4, annex 1, tables 1 and 2, for 48 kHz: a shelf that models the head, then a high pass. Each is the numerator
# and the denominator of its transfer function.
_SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)
_HIGH_PASS = (1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)


def _k_weighted(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Samples (C, T) at 48 kHz after both filters, (C, T).

    The filters are applied in the frequency domain; a second of silence makes room for their response.
    """
    size = samples.shape[-1] + 48000
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    response = np.ones_like(z)
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        response *= np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
    return np.fft.irfft(np.fft.rfft(samples, size) * response, size)[..., : samples.shape[-1]]
