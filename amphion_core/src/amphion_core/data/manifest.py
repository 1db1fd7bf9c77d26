"""Manifests: one line of JSON for each utterance, read from disk when needed, by an index of byte offsets.

``amphion prepare`` writes a prepared folder. It holds ``dataset.yaml`` (the reader, and ``root``, the folder that paths
are relative to), the manifests ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl``, and ``report.json``. The index of a
manifest (byte offset, duration and rate of every record) is written beside it when the manifest is first opened; its
name contains the manifest's digest, so an index of an older manifest is never used.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import yaml
from amphion_core.component import Utterance
from amphion_core.errors import DataError
from amphion_core.files import atomic_write

ABOUT = "dataset.yaml"
INDEX = np.dtype([("offset", "<i8"), ("duration", "<f4"), ("rate", "<i4")])
"""One row of an index: byte offset of the line, seconds, and Hz."""

_FIELDS = ("id", "path", "duration", "start", "text", "speaker", "language", "caption", "split")


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
        """The record of a line; its path becomes ``root``/path. Raises DataError that names ``where``."""
        try:
            fields = json.loads(line)
            rate, digest = int(fields.pop("rate")), str(fields.pop("digest"))
            fields["path"] = os.path.join(root, fields["path"])  # noqa: PTH118 - a million times faster than Path
            return cls(Utterance(**fields), rate, digest)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{where} is not a manifest record: {error}", hint="run amphion prepare again") from error


class Manifest:
    """The records of one split, in the order of the file. Opening, pickling and sharing it costs little.

    Raises DataError: not a prepared folder, no such split, or a record that is not valid.
    """

    def __init__(self, folder: str | Path, split: str = "train") -> None:
        self.folder, self.split = Path(folder).absolute(), split
        self.path = self.folder / f"{split}.jsonl"
        if not (self.folder / ABOUT).is_file():
            raise DataError(
                f"{self.folder} is not a prepared folder: it has no {ABOUT}",
                hint=f"amphion prepare READER {self.folder} prepared/{self.folder.name}   (amphion list datasets)",
            )
        if not self.path.is_file():
            found = ", ".join(splits_of(self.folder)) or "none"
            raise DataError(f"{self.folder} has no split {split!r}", hint=f"it has: {found}")
        about = yaml.read(self.folder / ABOUT)
        self.root = str(self.folder / str(about["root"]))  # an absolute root stays as it is
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
        if len(self) and not Path(path := self[0].utterance.path).is_file():
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


def splits_of(folder: str | Path) -> list[str]:
    """The names of the splits in a prepared folder, sorted."""
    return sorted(path.stem for path in Path(folder).glob("*.jsonl"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _index(path: Path, digest: str) -> np.ndarray[Any, Any]:
    """The index of the manifest with this digest, memory-mapped; written first if it does not exist."""
    file = path.with_name(f".{path.stem}-{digest[:16]}.npy")
    if not file.is_file():
        rows = np.fromiter(_scan(path), dtype=INDEX)
        with atomic_write(file) as temporary:
            np.save(temporary, rows)
        for old in path.parent.glob(f".{path.stem}-{'?' * 16}.npy"):
            if old != file:
                old.unlink(missing_ok=True)
    index: np.ndarray[Any, Any] = np.load(file, mmap_mode="r" if file.stat().st_size > 1024 else None)
    return index


def _scan(path: Path) -> Iterator[tuple[int, float, int]]:
    """Byte offset, seconds and rate of every record. Raises DataError for a line that is not one."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            record = Record.parse(line, f"line {number} of {path}")
            yield offset, record.utterance.duration, record.rate
            offset += len(line)
