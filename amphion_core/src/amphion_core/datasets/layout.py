"""What the readers share: finding audio, its duration, id lists, tables, and the error for another folder."""

import csv
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field

from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".WAV", ".FLAC")
LISTS = {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}
SPLITS = {"validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "test": "test", "train": "train"}


class RootConfig(BaseConfig):
    """What every reader of a folder needs."""

    root: str = Field(default=".", description="folder of the corpus")


class FolderReader(Dataset):
    """A corpus that is a folder. Subclasses give ``rows``; id lists in the folder decide the split."""

    config: RootConfig

    @property
    def root(self) -> Path:
        """The corpus's folder."""
        return Path(self.config.root)

    @abstractmethod
    def rows(self) -> Iterable[Utterance]:
        """Every utterance, as the corpus states it; a split the corpus does not state is empty."""

    def utterances(self) -> Iterator[Utterance]:
        """Every utterance in a fixed order, its split from train.txt, dev.txt and test.txt where they lie there.

        Raises DataError when the folder is not such a corpus.
        """
        self.problems.clear()
        lists = read_lists(self.root)
        for row in self.rows():
            split = lists.get(row.id, row.split) if lists else row.split
            yield row if split == row.split else _with_split(row, split)

    def require(self, *names: str) -> None:
        """Raises DataError unless one of ``names`` (patterns) is in the folder."""
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
    """The split that a subset such as "dev-clean" belongs to; empty for none."""
    head = subset.partition("-")[0].partition("_")[0]
    return head if head in LISTS else ""


def read_lists(root: Path) -> dict[str, str]:
    """The split of every id that train.txt, dev.txt or test.txt names, one a line; empty without such lists."""
    found = {}
    for split, name in LISTS.items():
        if (path := root / name).is_file():
            for line in lines(path):
                found[line.strip()] = split
    return found


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises DataError when it is not UTF-8 text."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}", hint="convert it to UTF-8") from error


def table(path: Path, delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a header, each with its line number. Raises DataError for no header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            if not reader.fieldnames:
                raise DataError(f"{path} is empty", hint="it should begin with a line of column names")
            for row in reader:
                yield reader.line_num, {key: value or "" for key, value in row.items() if isinstance(key, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}", hint="save it as UTF-8 text") from error


def audio_files(folder: Path) -> list[Path]:
    """Every audio file below ``folder``, in the order of their paths, without hidden ones.

    Linked folders are read too, except a link to a folder that contains it.
    """
    found = []
    for path, folders, names in os.walk(folder, followlinks=True):
        above = {os.path.realpath(parent) for parent in (Path(path), *Path(path).parents)}
        kept = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in kept if str(Path(path, name).resolve()) not in above]
        found += [Path(path, name) for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def find_audio(stem: Path) -> Path:
    """The audio file of this path without suffix, whatever its format; as .wav where there is none."""
    for suffix in SUFFIXES:
        if (path := stem.with_name(stem.name + suffix)).is_file():
            return path
    return stem.with_name(stem.name + ".wav")


def seconds(path: Path) -> float:
    """The duration of an audio file from its header; 0 where it is missing or not audio."""
    import soundfile

    try:
        info = soundfile.info(path)
        return float(info.frames / info.samplerate)
    except (RuntimeError, OSError):
        return 0.0


def text_of(path: Path) -> str:
    """The text of a small file, without the ends; empty where there is none."""
    return path.read_text(encoding="utf-8-sig", errors="replace").strip() if path.is_file() else ""
