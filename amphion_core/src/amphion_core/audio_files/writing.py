"""Write audio files piece by piece: in the memory of one piece, complete or not at all, going on after a break."""

import hashlib
import io
import json
import os
import shlex
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np

from amphion_core.audio import Audio
from amphion_core.audio_files.encoding import as_16_bit, encode
from amphion_core.errors import AmphionError, AudioError
from amphion_core.files import atomic_write, is_full, not_written, sole_writer

_BLOCK = 1 << 16  # samples that are read and encoded at a time
_LONGEST_STEM = 220  # bytes of the name of a file, to which the name of its part adds 14; file systems allow 255
_LARGEST_WAV = 2**32 - 1000  # bytes that the header of a wav file can state


class AudioWriter:
    """A context in which an audio file is written piece by piece.

    The samples are kept as 16-bit PCM in a part file beside ``path``. When the block ends without an error, the part is
    encoded as the suffix of ``path`` says and takes its place. For wav and flac the result equals that of `Audio.save`.
    While the block runs, no other program can write ``path`` in this way.

    ``work`` states in values of JSON what is written, such as a digest of the text, the name of the model, and the
    seed. With it, an interrupted block keeps its part, also when the process is killed: the next writer with the same
    ``path``, rate and ``work`` goes on behind the last complete piece. ``pieces`` is the number of complete pieces, and
    ``notes()`` gives what was noted with each. Without ``work``, an error removes the part.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "tones.flac"
    >>> with AudioWriter(target, 8000) as file:
    ...     for level in (0.1, 0.2):
    ...         file.write(Audio(np.full(4000, level, np.float32), 8000))
    >>> Audio.load(target).duration
    1.0
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        *,
        channels: int = 1,
        work: Mapping[str, Any] | None = None,
    ) -> None:
        """Check everything that can be checked before long work.

        Raises AudioError for an unknown suffix and for a rate or a number of channels that the format does not have,
        AmphionError for a path that cannot be written.
        """
        self.path = Audio.check_target(path)
        self.sample_rate, self.channels = sample_rate, channels
        self._encode(io.BytesIO(), iter(()))
        self._resumes = work is not None
        self._head = {"work": work, "sample_rate": sample_rate, "channels": channels}
        identity = json.dumps(self._head, sort_keys=True) if self._resumes else os.urandom(8).hex()
        target = self.path.expanduser().resolve()
        stem = target.name.encode()[:_LONGEST_STEM].decode(errors="ignore")
        stem += f".{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
        if not self._resumes:
            stem = f".{stem}"
        self.part, self._journal = target.with_name(f"{stem}.part"), target.with_name(f"{stem}.json")
        self._descriptors: tuple[int, int] | None = None
        self._lock = ExitStack()
        self.pieces = 0
        self.samples = 0
        """Samples of each channel that are written."""
        self.peak = 0.0
        """The largest magnitude of a sample before samples were clipped."""

    @property
    def duration(self) -> float:
        """The seconds that are written."""
        return self.samples / self.sample_rate

    @property
    def keeps_part(self) -> bool:
        """Whether an error would keep the part, so that a later writer can go on."""
        return self._resumes and self.pieces > 0

    def write(self, audio: Audio, note: Any = None) -> None:
        """Add a piece, with a ``note`` in values of JSON. Samples beyond full scale are clipped.

        Raises AudioError for another rate or number of channels, for samples that are not finite, and for more than
        4 GB of a wav file; AmphionError when the disk is full.
        """
        samples = np.atleast_2d(audio.samples)
        if audio.sample_rate != self.sample_rate or len(samples) != self.channels:
            raise AudioError(f"{self.path}: a piece has another rate or another number of channels than the file")
        if not np.isfinite(samples).all():
            raise AudioError(
                f"{self.path} was not written: the audio has samples that are not finite",
                hint="check what it was made of: values far outside the usual range, or damaged weights",
            )
        count = self.samples + samples.shape[1]
        if self.path.suffix.lower() == ".wav" and count * 2 * self.channels > _LARGEST_WAV:
            raise AudioError(f"{self.path} would be larger than 4 GB, which a wav file cannot be", hint="use .flac")
        data = as_16_bit(samples).astype("<i2").T.tobytes()
        record = {"samples": count, "peak": round(max(self.peak, audio.peak), 6), "note": note}
        part, journal = self._descriptors or self._open()
        try:  # the samples first: a kill between the two loses a piece, and never invents one
            _write(part, data)
            _write(journal, _line(record))
        except OSError as error:
            raise self._not_written(error) from error
        self._take(record)

    def notes(self) -> Iterator[Any]:
        """The note of each piece. They are read from the disk, so that those of a long work need no memory."""
        for record in self._records():
            yield record["note"]

    def __enter__(self) -> Self:
        """Find the part of an earlier run. Raises AmphionError when another program is writing this file."""
        with ExitStack() as lock:
            lock.enter_context(sole_writer(self.path))
            if self._resumes and self._journal.exists():
                self._open()
            self._lock = lock.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make the file, or keep or remove the part. Raises AudioError for audio without samples, AmphionError.

        An AudioError removes the part: what was read or would be written cannot be used, now or later.
        """
        keep = self.keeps_part and not isinstance(error, AudioError)
        with self._lock:
            try:
                if kind is None:
                    self._finish()
                    keep = False
            finally:
                for descriptor in self._descriptors or ():
                    os.close(descriptor)
                if self._descriptors and not keep:
                    self.part.unlink(missing_ok=True)
                    self._journal.unlink(missing_ok=True)
                self._descriptors = None

    def _take(self, record: Mapping[str, Any]) -> None:
        self.pieces, self.samples, self.peak = self.pieces + 1, record["samples"], record["peak"]

    def _finish(self) -> None:
        if not self.samples:
            raise AudioError(f"{self.path} was not written: the audio is empty")
        if self.peak > 1:
            message = f"{self.path}: samples beyond full scale ({self.peak:.2f}) are clipped"
            warnings.warn(message, UserWarning, stacklevel=3)
        with atomic_write(self.path) as temporary:
            try:
                with temporary.open("wb") as file:
                    self._encode(file, self._blocks())
            except OSError as error:
                raise self._not_written(error) from error

    def _encode(self, file: Any, blocks: Iterator[np.ndarray[Any, Any]]) -> None:
        try:
            encode(file, blocks, sample_rate=self.sample_rate, channels=self.channels, suffix=self.path.suffix)
        except (RuntimeError, ValueError, TypeError) as error:  # soundfile's errors are RuntimeErrors
            at = f"at {self.sample_rate} Hz with {self.channels} channels"
            raise AudioError(f"{self.path} cannot be written {at}: {error}", hint="use .wav") from error

    def _blocks(self) -> Iterator[np.ndarray[Any, Any]]:
        with self.part.open("rb") as file:
            while data := file.read(_BLOCK * 2 * self.channels):
                yield np.frombuffer(data, "<i2").reshape(-1, self.channels)

    def _open(self) -> tuple[int, int]:
        """Open part and journal, and take over the complete pieces of an earlier run."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            part = os.open(self.part, flags, 0o666)
            try:
                journal = os.open(self._journal, flags, 0o666)
            except BaseException:
                os.close(part)
                raise
            self._descriptors = part, journal
            end = self._take_over(os.fstat(part).st_size // (2 * self.channels))
            os.ftruncate(journal, end)
            os.ftruncate(part, self.samples * 2 * self.channels)
            for descriptor in self._descriptors:
                os.lseek(descriptor, 0, os.SEEK_END)
            if not end:
                _write(journal, _line(self._head))
        except OSError as error:
            raise self._not_written(error) from error
        return self._descriptors

    def _take_over(self, most: int) -> int:
        """Take the pieces of the journal that end within ``most`` samples; the bytes of their lines and of the head."""
        end = 0
        with self._journal.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):  # a killed process did not finish it
                    break
                if end:
                    record = json.loads(line)
                    if record["samples"] > most:  # a power cut: the disk has less than was written
                        break
                    self._take(record)
                elif line != _line(self._head):
                    break
                end += len(line)
        return end

    def _records(self) -> Iterator[dict[str, Any]]:
        if self._descriptors:
            with self._journal.open("rb") as file:
                next(file)  # the head
                yield from map(json.loads, file)

    def _not_written(self, error: OSError) -> AmphionError:
        if is_full(error) and self.keeps_part:
            folder = shlex.quote(str(self.part.parent))
            return AmphionError(
                f"{self.path} cannot be written: the disk is full; {self.duration:.0f} s are kept in {self.part.name}",
                hint=f"make room (df -h {folder}), then type the same command again",
            )
        return not_written(error, self.path)


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _write(descriptor: int, data: bytes) -> None:
    """Write all of ``data`` to the system at once, so that it survives a kill of this process. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
