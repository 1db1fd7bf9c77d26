"""Encodes blocks of samples as wav, flac, ogg or mp3."""

from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
"""The suffixes that can be written, with libsndfile's name of the format."""


def encode(
    file: BinaryIO, blocks: Iterable[np.ndarray[Any, Any]], *, sample_rate: int, channels: int, suffix: str
) -> None:
    """Write an audio file, with 16 bits if the format of ``suffix`` allows it, in the memory of one block.

    Blocks are (T,) or (T, C), float in [-1, 1] or int16. libsndfile's Vorbis encoder overflows the stack on blocks of
    minutes. Raises RuntimeError or ValueError for a rate or a number of channels that the format does not have, and
    the OSError of ``file``.
    """
    import soundfile

    target = _Target(file)
    form = FORMATS[suffix.lower()]
    with soundfile.SoundFile(target, "w", sample_rate, channels, format=form) as sound:
        for block in blocks:
            sound.write(as_16_bit(block) if form in ("WAV", "FLAC") else block)
            target.check()
    target.check()


def as_16_bit(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Samples as the nearest integers of 16 bits, beyond full scale clipped. int16 / 32768 becomes the same int16."""
    if samples.dtype == np.int16:
        return samples
    return np.rint(samples * np.float32(32768)).clip(-32768, 32767).astype(np.int16)


class _Target:
    """A file whose errors are kept: libsndfile does not report that a disk is full."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell = file.seek, file.tell
        self._file = file
        self._error: OSError | None = None

    def __repr__(self) -> str:
        return "the file"  # for the messages of soundfile

    def write(self, data: bytes) -> int:
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error
        return len(data)

    def check(self) -> None:
        """Raise the first error of the file."""
        if self._error is not None:
            raise self._error
