"""Manifests: one line of JSON for each utterance, read from disk when needed, by an index of byte offsets.

``amphion prepare`` writes a prepared folder. It holds ``dataset.yaml`` (the reader, and ``root``, the folder that paths
are relative to), the manifests ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, and ``report.json``. The index of a
manifest (byte offset, duration and rate of every record) is written beside it when the manifest is first opened; its
name contains the manifest's digest, so an index of an older manifest is never used.
"""

import glob
import hashlib
import json
import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import yaml
from amphion_core.audio_files import HIGHEST_RATE
from amphion_core.component import Utterance
from amphion_core.errors import AmphionError, DataError, nearest, shown
from amphion_core.files import atomic_write, is_file

ABOUT = "dataset.yaml"
INDEX = np.dtype([("offset", "<i8"), ("duration", "<f4"), ("rate", "<i4")])
"""One row of an index: byte offset of the line, seconds, and Hz."""

LONGEST = 1e7  # seconds; about four months
_REQUIRED = ("id", "path", "duration", "rate", "digest")
_FIELDS = ("id", "path", "duration", "start", "text", "speaker", "language", "caption", "split", "gain")


@dataclass(frozen=True, slots=True)
class Record:
    """A prepared utterance: its file could be read, has ``rate`` Hz, and its content has this ``digest``."""

    utterance: Utterance
    rate: int
    digest: str

    def line(self) -> str:
        """The record as one line of JSON, without empty fields."""
        fields: dict[str, Any] = {name: getattr(self.utterance, name) for name in _FIELDS}
        fields |= {"extra": self.utterance.extra, "rate": self.rate, "digest": self.digest}
        return json.dumps({key: value for key, value in fields.items() if value}, ensure_ascii=False)

    @classmethod
    def parse(cls, line: str | bytes, where: str, root: str = "") -> "Record":
        """The record of a line; its path becomes ``root``/path. Raises DataError that names ``where`` and the field."""
        fields = _fields(line, where)
        rate, digest = fields.pop("rate"), fields.pop("digest")
        fields["path"] = os.path.join(root, fields["path"])  # noqa: PTH118 - a million times faster than Path
        return cls(Utterance(**fields), rate, digest)


def _fields(line: str | bytes, where: str) -> dict[str, Any]:
    """The checked fields of a line. Raises DataError that names ``where`` and the field."""
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise _invalid(where, "its JSON is nested too deep") from error
    except ValueError as error:  # not JSON, not UTF-8, or a number of thousands of digits
        raise _invalid(where, f"it is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise _invalid(where, "it is JSON, but not an object in braces")
    if unknown := [name for name in fields if name not in _CHECKS]:
        close = nearest(unknown[0], _CHECKS)
        raise _invalid(where, f"unknown field {unknown[0]!r:.80}" + (f"; {close} is meant?" if close else ""))
    if missing := [name for name in _REQUIRED if name not in fields]:
        raise _invalid(where, f"it has no {missing[0]}")
    for name, value in fields.items():
        if (wanted := _CHECKS[name](value)) is not None:
            raise _invalid(where, f"{name} is {value!r:.80}, but must be {wanted}")
    if (b"\\ud" if isinstance(line, bytes) else "\\ud") in line.lower():  # type: ignore[operator]
        try:
            json.dumps(fields, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise _invalid(where, "it has half of a surrogate pair, which is no character") from error
    return fields


def _invalid(where: str, why: str) -> DataError:
    return DataError(f"{where} is not a manifest record: {why}", hint="run amphion prepare again, or correct the line")


def _number(low: float, high: float, wanted: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if fits else wanted

    return check


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a text"


def _name(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "a text that is not empty"


def _rate(value: Any) -> str | None:
    fits = type(value) is int and 1 <= value <= HIGHEST_RATE
    return None if fits else f"a whole number of Hz from 1 to {HIGHEST_RATE}"


def _path(value: Any) -> str | None:
    fits = isinstance(value, str) and value and "\0" not in value and ".." not in value.split("/")
    return None if fits else "a path, relative to the root or absolute, without '..'"


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "id": _name, "path": _path, "duration": _number(1e-6, LONGEST, "a positive number of seconds"),
    "start": _number(0, LONGEST, "a number of seconds, at least 0"), "text": _text, "speaker": _text,
    "language": _text, "caption": _text, "split": _text,
    "gain": _number(-200, 200, "a number of dB"), "rate": _rate, "digest": _name,
    "extra": lambda value: None if isinstance(value, dict) else "an object in braces",
}  # fmt: skip
"""For every field of a record, a function that returns None for a right value, else what is wanted."""


class Manifest:
    """The records of one split, in the order of the file. Opening, pickling and sharing it costs little.

    Raises DataError: not a prepared folder, no such split, or a record that is not valid.
    """

    def __init__(self, folder: str | Path, split: str = "train") -> None:
        if not isinstance(folder, str | Path) or not isinstance(split, str):
            raise DataError(
                f"a manifest is named by a folder and a split, got {shown(folder)} and {shown(split)}",
                hint='Manifest("prepared/voice", "train")',
            )
        self.folder, self.split = Path(folder).absolute(), split
        self.path = self.folder / f"{split}.jsonl"
        if not is_file(about := self.folder / ABOUT):
            with suppress(OSError, ValueError):  # ValueError: a NUL character
                if self.folder.is_dir() and not os.access(self.folder, os.X_OK):
                    raise DataError(f"{self.folder} may not be opened by this user", hint=f"ls -ld {self.folder}")
            raise DataError(
                f"{self.folder} is not a prepared folder: it has no {ABOUT}",
                hint=f"amphion prepare READER {self.folder} prepared/{self.folder.name}   (amphion list datasets)",
            )
        if not is_file(self.path):
            found = ", ".join(splits_of(self.folder)) or "none"
            raise DataError(f"{self.folder} has no split {split!r}", hint=f"it has: {found}")
        about = yaml.read(self.folder / ABOUT)
        root = about.get("root") if isinstance(about, dict) else None
        if not isinstance(root, str) or not root or "\0" in root:
            raise DataError(
                f"{self.folder / ABOUT} has no root: the folder of the audio, to which paths are relative",
                hint="add a line root: FOLDER, or run amphion prepare again",
            )
        self.root = str(self.folder / root)  # an absolute root stays as it is
        self.digest = _digest(self.path)
        self.index = _index(self.path, self.digest)
        self._file: tuple[int, int] | None = None  # (process, descriptor): a forked child must open its own

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Record:
        row = self.index[index]
        end = int(self.index["offset"][index + 1]) if index + 1 < len(self.index) else self.path.stat().st_size
        line = os.pread(self._descriptor(), end - int(row["offset"]), int(row["offset"]))
        return Record.parse(line, f"line {index + 1} of {self.path}", self.root)

    def __iter__(self) -> Iterator[Record]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield Record.parse(line, f"line {number} of {self.path}", self.root)

    @property
    def durations(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Seconds of every record, (len(self),); read from the index on disk when used."""
        return self.index["duration"]

    def require_audio(self) -> None:
        """Raises DataError when the first record's file is not where the manifest says."""
        if len(self) and not is_file(path := self[0].utterance.path):
            raise DataError(
                f"the audio of {self.path} has moved: there is no {path}",
                hint=f"write its present folder as root: in {self.folder / ABOUT}",
            )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"index": None, "_file": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.index = _index(self.path, self.digest)

    def _descriptor(self) -> int:
        if self._file is None or self._file[0] != os.getpid():
            self._file = os.getpid(), os.open(self.path, os.O_RDONLY)
        return self._file[1]

    def __del__(self) -> None:
        opened = self.__dict__.get("_file")
        if opened and os is not None and opened[0] == os.getpid():  # os is None while the interpreter ends
            os.close(opened[1])


def audio_digest(path: str) -> str:
    """The digest of a file's content, as `amphion prepare` writes it into the records: 24 hexadecimal digits.

    Raises OSError.
    """
    return _digest_of(path, os.stat(path).st_mtime_ns)  # noqa: PTH116 - faster than Path, and there are many


@lru_cache(maxsize=4)  # one file may hold many utterances
def _digest_of(path: str, changed: int) -> str:
    """The digest of a file that was changed at this time."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]


def splits_of(folder: str | Path) -> list[str]:
    """The names of the splits in a prepared folder, sorted."""
    return sorted(path.stem for path in Path(folder).glob("*.jsonl"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _index(path: Path, digest: str) -> np.ndarray[Any, Any]:
    """The index of the manifest with this digest, memory-mapped; written first if it does not exist.

    It stays in memory if the folder cannot be written. Raises DataError for a line that is not a record, and for two
    records with one id.
    """
    file = path.with_name(f".{path.stem}-{digest[:16]}.npy")
    if (index := _read_index(file, path.stat().st_size)) is not None:
        return index
    rows = np.fromiter(_scan(path), dtype=INDEX)
    try:
        with atomic_write(file) as temporary:
            np.save(temporary, rows)
        for old in path.parent.glob(f".{glob.escape(path.stem)}-{'?' * 16}.npy"):
            if old != file:
                old.unlink(missing_ok=True)
    except (AmphionError, OSError):
        return rows
    index = _read_index(file, path.stat().st_size)
    return rows if index is None else index


def _read_index(file: Path, size: int) -> np.ndarray[Any, Any] | None:
    """The index in ``file`` of a manifest of ``size`` bytes; None if there is none, or if it is damaged."""
    try:
        index: np.ndarray[Any, Any] = np.load(file, mmap_mode="r" if file.stat().st_size > 1024 else None)
    except Exception:  # numpy reads the header as Python text, so a damaged one raises almost anything
        return None
    valid = index.dtype == INDEX and index.ndim == 1 and (not size if not len(index) else index["offset"][-1] < size)
    return index if valid else None


def _scan(path: Path) -> Iterator[tuple[int, float, int]]:
    """Byte offset, seconds and rate of every record. Raises DataError for a line that is not one, and a second id."""
    offset, ids = 0, array("Q")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            record = Record.parse(line, f"line {number} of {path}")
            ids.append(_short_hash(record.utterance.id))
            yield offset, record.utterance.duration, record.rate
            offset += len(line)
    hashes, counts = np.unique(np.frombuffer(ids, np.uint64), return_counts=True)
    if repeated := {int(value) for value in hashes[counts > 1]}:
        _refuse_repeated(path, repeated)


def _short_hash(id: str) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little")


def _refuse_repeated(path: Path, hashes: set[int]) -> None:
    """Raises DataError if two records with these hashes have the same id."""
    seen: dict[str, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            id = json.loads(line)["id"]
            if _short_hash(id) in hashes and seen.setdefault(id, number) != number:
                raise DataError(
                    f"lines {seen[id]} and {number} of {path} have the same id {id!r:.80}",
                    hint="remove one of them, or run amphion prepare again",
                )
