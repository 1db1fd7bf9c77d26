"""Reads audio files whole or in part, and refuses files that were cut short, whatever their header says.

A header is not trusted: memory is only reserved for a length that is possible in a file of that size, a length that
the header does not state is counted, and a file that holds fewer samples than its header states is an error.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import soundfile

from amphion_core.audio_files import HIGHEST_RATE, AudioFileError, check_file
from amphion_core.audio_files.headers import ending

Samples = np.ndarray[Any, np.dtype[np.float32]]
PIECE = 1 << 16  # samples of each channel that are decoded at a time
UNKNOWN = 1 << 62  # libsndfile reports more samples than this where a header does not state the length
DENSEST = 64  # samples a byte that a header may state before it is checked; FLAC of speech has less than 2
FEW = 1 << 20  # samples that a header may state in a file of any size
MOST = 1 << 27  # samples that are decoded of a file of any size: 512 MiB
PRE_ROLL = 8192  # samples before a part of an MP3 file that are decoded, because the first frames need bits of them
RATES = range(1000, HIGHEST_RATE + 1)  # Hz


class AudioLength(NamedTuple):
    """The length of an audio file: ``samples`` of each channel, at ``rate`` Hz."""

    samples: int
    rate: int

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.samples / self.rate


class AudioFile(soundfile.SoundFile):  # type: ignore[misc]
    """An audio file opened for reading, also where its header states no length or a wrong one.

    ``doubt`` is a reason to suspect that the file was cut short, or None.
    Raises AudioFileError with the reason for a path that is not a file, is not audio, is known to be cut short, or has
    an unusable rate.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.size = path, check_file(path).st_size
        self.doubt: str | None = None
        self._open_at_start()
        if self.samplerate not in RATES:
            self.close()
            reason = f"a rate of {self.samplerate} Hz, outside {RATES[0]} to {RATES[-1]} Hz"
            raise AudioFileError(path, reason, hint="the header may be wrong; write the file again")

    def _open_at_start(self) -> None:
        """Open the file at its start, also a second time. Raises AudioFileError."""
        self._position = 0  # the next sample of each channel; libsndfile does not know it for every format
        try:
            found = ending(self.path, self.size)
            self.doubt = found.doubt
            if found.problem is None:
                super().__init__(self.path if found.content is None else io.BytesIO(found.content))
        except UnicodeEncodeError as error:
            raise AudioFileError(self.path, "its name is not UTF-8; rename it") from error
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            reason, hint = _why_no_audio(self.path, _reason(error))
            raise AudioFileError(self.path, reason, hint=hint) from error
        if found.problem is not None:
            raise self._cut(found.problem)

    def seekable(self) -> bool:
        """False: soundfile would seek after each read, which fails in files without a stated length."""
        return False

    @property
    def stated(self) -> int | None:
        """The samples of each channel that the header states; None if it does not, or if they are too many to trust."""
        possible = max(FEW, DENSEST * self.size)
        return int(self.frames) if 0 <= self.frames < UNKNOWN and self.frames * self.channels <= possible else None

    def length(self) -> int:
        """The samples of each channel; counted if the header does not state them. The file is at its start after it.

        Raises what `pieces` raises.
        """
        if (stated := self.stated) is not None:
            return stated
        count = sum(len(piece) for piece in self.pieces())
        self.go_to(0)
        return count

    def whole(self) -> Samples:
        """All samples from the start, (T, C) float32. Raises what `pieces` raises."""
        if (stated := self.stated) is None:
            return _joined(self.pieces(), self.channels)
        samples = self.part(stated)
        self._check_end(len(samples))
        return samples

    def pieces(self) -> Iterator[Samples]:
        """All samples from the start in pieces (T, C), float32.

        Raises AudioFileError for a file that is damaged or cut short, and for one that holds far more than its size
        allows.
        """
        count, most = 0, max(MOST, DENSEST * self.size) // self.channels
        while len(piece := self.part(PIECE)):
            yield piece
            if (count := count + len(piece)) > most:
                reason = f"it holds far more audio than a recording of {self.size:,} bytes"
                raise AudioFileError(self.path, reason, hint="is it a recording, or hours of digital silence?")
        self._check_end(count)

    def part(self, count: int) -> Samples:
        """At most ``count`` samples of each channel from the present position, (T, C) float32.

        Raises AudioFileError for a damaged file.
        """
        if self.stated is not None:
            count = min(count, self.stated)
        elif count > PIECE:  # no memory is reserved for what may not be there
            return _joined(self._limited(count), self.channels)
        try:
            samples: Samples = self.read(count, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            self._position = -1
            raise self._cut(f"it is damaged or was cut short ({_reason(error)})") from error
        self._position += len(samples)
        return samples

    def span(self, start: int, count: int) -> Samples:
        """``count`` samples of each channel from sample ``start``, (T, C) float32; fewer at the end of the file.

        The rest of the file is only checked for being there. Raises AudioFileError for a damaged or cut file.
        """
        self.go_to(start)
        samples = self.part(count)
        end = start + len(samples)
        if len(samples) < count:
            self._check_end(end)
        elif end < self.frames and self.format in ("FLAC", "MP3"):  # the size of other files shows that they are whole
            _check_stated_end(str(self.path), self.size)
        return samples

    def go_to(self, sample: int) -> None:
        """Continue reading at this sample of each channel. Raises AudioFileError where a damaged file has none."""
        sample = min(sample, self.frames)
        # In GSM, for example, nothing can be sought; in Vorbis, libsndfile's seek can miss by some hundred samples.
        if not super().seekable() or self.subtype == "VORBIS":
            if not 0 <= self._position <= sample:
                self.close()
                self._open_at_start()
        elif sample != self._position:
            self._seek(max(0, sample - PRE_ROLL) if self.format == "MP3" else sample)
        for _ in self._limited(sample - self._position):
            pass

    def _seek(self, sample: int) -> None:
        self._position = -1  # unknown, if this fails
        try:
            self._position = self.seek(sample)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise self._cut(f"it is damaged or was cut short: it has no sample {sample}") from error

    def check_stated_end(self) -> None:
        """Raises AudioFileError if the last sample that the header states is not there; moves the position."""
        if not 0 < self.frames < UNKNOWN:
            return
        self.go_to(self.frames - 1)
        if not len(self.part(1)):
            raise self._cut(f"it was cut short: its header states {self.frames} samples, but the last is not there")

    def _limited(self, count: int) -> Iterator[Samples]:
        while count > 0 and len(piece := self.part(min(count, PIECE))):
            yield piece
            count -= len(piece)

    def _check_end(self, found: int) -> None:
        """Raises AudioFileError if a file that ends after ``found`` samples should hold more."""
        if found < self.frames < UNKNOWN and not (self.format == "MP3" and self.subtype != "MPEG_LAYER_III"):
            raise self._cut(f"it was cut short: its header states {self.frames} samples, {found} are there")

    def _cut(self, reason: str) -> AudioFileError:
        return AudioFileError(
            self.path, reason, hint=f"copy it again; to keep what is there: ffmpeg -i {self.path} NEW.wav"
        )

    def __enter__(self) -> Self:
        return self


def audio_length(path: str | Path) -> AudioLength:
    """The length of an audio file, from its header; from its content where the header does not state it.

    Raises AudioFileError with the reason for a file that is missing, not a file, empty, not audio or cut short.
    """
    with AudioFile(path) as file:
        return AudioLength(file.length(), file.samplerate)


@lru_cache(maxsize=16)  # one file may hold many utterances
def _check_stated_end(path: str, size: int) -> None:
    with AudioFile(path) as file:
        file.check_stated_end()


def _joined(pieces: Iterable[Samples], channels: int) -> Samples:
    return np.concatenate([np.zeros((0, channels), np.float32), *pieces])


def _why_no_audio(path: str | Path, reason: str) -> tuple[str, str]:
    """(reason, hint) for a file that libsndfile does not open: what was downloaded in place of audio, else ``reason``.

    Some of libsndfile's own reasons are wrong for a file that exists, or name its inner structures.
    """
    start = b""
    with contextlib.suppress(OSError), Path(path).open("rb") as file:  # a file without permission has another reason
        start = file.read(1000).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the recording", "run git lfs pull in its repository"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page, not a recording", "download the file itself"
    if "does not exist or is not a regular file" in reason:
        reason = "no frame of MPEG audio"
    elif "SF_INFO" in reason:
        reason = "its header states an impossible rate or number of channels"
    return f"not readable audio ({reason})", "check the file: file NAME, or listen to it"


def _reason(error: Exception) -> str:
    """The reason of libsndfile or of the system, without the path and the word error."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rpartition("': ")[2].removeprefix("Error : ").rstrip(".")
