"""Audio as the bytes of a file, made while it is generated: wav, flac, mp3, opus, and raw samples."""

import struct
from typing import Any

import numpy as np

from amphion_core.audio import Audio
from amphion_core.audio_files.encoding import as_16_bit

MEDIA = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip
"""The formats by name, each with its media type. ``pcm`` is mono with 16 bits at 24 kHz, as OpenAI's clients expect."""

PCM_RATE = 24000
_KINDS = {"mp3": ("MP3", None), "opus": ("OGG", "OPUS"), "flac": ("FLAC", "PCM_16")}
_RATES = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
    "pcm": (PCM_RATE,),
}
QUICK = 1 << 17  # samples, 6 seconds of speech: rounding and resampling them takes some 3 ms
_BLOCK = 1 << 14  # samples that are encoded at a time; libsndfile's encoders keep a block on the stack
_UNKNOWN = 0xFFFFFFFF  # bytes, in the header of a wav file whose length is not known yet


class Encoder:
    """Turns pieces of audio of one rate into the bytes of one file."""

    def __init__(self, form: str, sample_rate: int, channels: int = 1) -> None:
        """``form`` is a key of ``MEDIA``."""
        import soundfile
        import soxr

        most = {"pcm": 1, "mp3": 2, "opus": 2}.get(form, 8)
        self.form, self.channels = form, channels if channels <= most else 1
        self.rate = _fitting(form, sample_rate)
        self._resampler: Any = None
        if self.rate != sample_rate:
            self._resampler = soxr.ResampleStream(sample_rate, self.rate, self.channels, "float32", "HQ")
        self._sink = _Sink()
        self._file: Any = None
        if form in _KINDS:
            kind, subtype = _KINDS[form]
            self._file = soundfile.SoundFile(self._sink, "w", self.rate, self.channels, subtype, format=kind)
        elif form == "wav":
            self._sink.write(_wav_header(self.rate, self.channels))

    def add(self, audio: Audio) -> bytes:
        """The bytes that are complete after a piece; none of flac, whose header states the length, until the end."""
        samples = audio.mono().samples if self.channels == 1 else audio.samples.T
        return self._written(samples)

    def is_quick(self, audio: Audio | None = None) -> bool:
        """Whether `add` of an audio, or `end`, takes a few milliseconds at most, less than a change of the thread."""
        return self._file is None and (audio is None or audio.samples.size <= QUICK)

    def end(self) -> bytes:
        """The last bytes of the file."""
        last = self._written(np.zeros((0, self.channels)[: min(self.channels, 2)], np.float32), last=True)
        if self._file is not None:
            self._file.close()
        return last + self._sink.take()

    def _written(self, samples: np.ndarray[Any, Any], *, last: bool = False) -> bytes:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        if self._file is None:
            self._sink.write(as_16_bit(samples).astype("<i2").tobytes())
        else:
            samples = np.clip(samples, -1, 1)
            for start in range(0, len(samples), _BLOCK):
                self._file.write(samples[start : start + _BLOCK])
        return b"" if self.form == "flac" else self._sink.take()


def _fitting(form: str, rate: int) -> int:
    """The lowest rate of a format that keeps all frequencies, in Hz; its highest where none does."""
    rates = _RATES.get(form, (rate,))
    return min((each for each in rates if each >= rate), default=max(rates))


def _wav_header(rate: int, channels: int) -> bytes:
    """The header of a file with 16-bit samples whose length is not known."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", _UNKNOWN) + b"WAVE" + form + b"data" + struct.pack("<I", _UNKNOWN)


class _Sink:
    """The file of an encoder. Bytes that were taken are sent already, so what is written over them is dropped."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._taken = self._at = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position: from the start, from the present one, or from the end."""
        self._at = offset + (0, self._at, self._taken + len(self._data))[whence]
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def write(self, data: bytes) -> int:
        """Write at the position."""
        start = self._at - self._taken
        self._at += len(data)
        new = bytes(data)[max(0, -start) :]
        start = max(0, start)
        self._data[start : start + len(new)] = new
        return len(data)

    def take(self) -> bytes:
        """The bytes since the last call."""
        found, self._data = bytes(self._data), bytearray()
        self._taken += len(found)
        return found
