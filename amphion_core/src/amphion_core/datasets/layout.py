"""Base of the readers of corpora: find audio files and durations, read lists of ids and tables, check the folder."""

import csv
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field

from amphion_core.audio_files import AudioFileError, audio_files as audio_files, find_audio as find_audio
from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.errors import DataError

LISTS = {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}
SPLITS = {"validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "test": "test", "train": "train"}


class RootConfig(BaseConfig):
    """The folder of the corpus."""

    root: str = Field(default=".", description="folder of the corpus")


class FolderReader(Dataset):
    """A corpus in a folder. Subclasses implement ``rows``; lists of ids in the folder override the split."""

    config: RootConfig

    @property
    def root(self) -> Path:
        """The folder of the corpus."""
        return Path(self.config.root)

    @abstractmethod
    def rows(self) -> Iterable[Utterance]:
        """Every utterance as the corpus describes it; ``split`` is empty if the corpus has no splits."""

    def utterances(self) -> Iterator[Utterance]:
        """Every utterance in a fixed order. If the folder has train.txt, dev.txt or test.txt, they state the split.

        Raises DataError if the folder is not laid out as this corpus.
        """
        self.problems.clear()
        lists = read_lists(self.root)
        for row in self.rows():
            split = lists.get(row.id, row.split) if lists else row.split
            yield row if split == row.split else _with_split(row, split)

    def require(self, *names: str) -> None:
        """Check the layout: raises DataError unless the folder contains one of ``names``, which may be patterns."""
        if not self.root.is_dir():
            raise DataError(f"there is no folder {self.root}", hint="check the path")
        if not any(next(self.root.glob(name), None) for name in names):
            raise DataError(
                f"{self.root} is not laid out as {type(self).__name__}: it has no {' or '.join(names)}",
                hint=f"any folder of audio files can be read: amphion prepare folder {self.root} OUT",
            )


def _with_split(row: Utterance, split: str) -> Utterance:
    from dataclasses import replace

    return replace(row, split=split)


def split_of(subset: str) -> str:
    """The split of a subset: dev for "dev-clean"; empty if the name contains no split."""
    head = subset.partition("-")[0].partition("_")[0]
    return head if head in LISTS else ""


def read_lists(root: Path) -> dict[str, str]:
    """The split of every id in train.txt, dev.txt and test.txt, which have one id per line; empty without lists."""
    found = {}
    for split, name in LISTS.items():
        if (path := root / name).is_file():
            for line in lines(path):
                found[line.strip()] = split
    return found


def lines(path: Path) -> list[str]:
    """The lines of a text file without empty ones. Raises DataError if it is not UTF-8 text."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}", hint="convert it to UTF-8") from error


def table(path: Path, delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a header, each with its line number. Raises DataError for a file without header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            if not reader.fieldnames:
                raise DataError(f"{path} is empty", hint="write the names of the columns into the first line")
            for row in reader:
                yield reader.line_num, {key: value or "" for key, value in row.items() if isinstance(key, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}", hint="save it as UTF-8 text") from error


def seconds(path: Path) -> float:
    """The duration of an audio file in seconds; 0 if it is missing or not audio."""
    from amphion_core.audio_reading import audio_length

    try:
        return audio_length(path).seconds
    except AudioFileError:
        return 0.0


def text_of(path: Path) -> str:
    """The text of a small file without white space at its ends; empty if the file is missing."""
    return path.read_text(encoding="utf-8-sig", errors="replace").strip() if path.is_file() else ""
