"""Base of the readers of corpora: the recordings of the folder, lists of ids, texts beside recordings, durations."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pydantic import Field

from amphion_core.audio_files import AudioFileError, is_audio
from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.datasets.recordings import Recordings
from amphion_core.errors import DataError, shortened
from amphion_core.files import path_hint
from amphion_core.tables import read_lines

LISTS = {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}
TEMPLATE = r"^[^{}]*\{\}[^{}]*$"  # pattern of a sentence with one {}
SPLITS = {"validation": "dev", "valid": "dev", "val": "dev", "dev": "dev", "test": "test", "train": "train"}


class RootConfig(BaseConfig):
    """The folder of the corpus."""

    root: str = Field(default=".", description="folder of the corpus")


class FolderReader(Dataset):
    """A corpus in a folder. Subclasses implement ``rows``; lists of ids in the folder override the split.

    ``problems`` names files by their path relative to the folder, so that the report of ``amphion prepare`` can give
    the reason for each file that was not read.
    """

    config: RootConfig

    @property
    def root(self) -> Path:
        """The folder of the corpus."""
        return Path(self.config.root)

    @cached_property
    def recordings(self) -> Recordings:
        """The audio files of the corpus, which are looked for once."""
        return Recordings(self.root)

    @abstractmethod
    def rows(self) -> Iterable[Utterance]:
        """Every utterance as the corpus describes it; ``split`` is empty if the corpus has no splits."""

    def utterances(self) -> Iterator[Utterance]:
        """Every utterance in a fixed order. If the folder has train.txt, dev.txt or test.txt, they state the split.

        Raises DataError if the folder is not laid out as this corpus.
        """
        self.problems.clear()
        self.__dict__.pop("recordings", None)  # files may have changed since the last call
        lists = read_lists(self.root)
        used: set[str] = set()
        for row in self.rows():
            name = row.id if row.id in lists else _listed_name(row.id)
            split = row.split
            if stated := lists.get(name):
                used.add(name)
                split = stated[-1][0]
            yield row if split == row.split else replace(row, split=split)
        for name, stated in lists.items() if used else ():  # else they are other files: the transcript of test.wav
            if name not in used:
                self.problems.append((stated[0][1], f"no utterance has this id: {name}"))
            elif len({split for split, _ in stated}) > 1:
                self.problems.append((stated[0][1], f"the id is in two lists: {name} is used in {stated[-1][0]}"))

    def require(self, *names: str, hint: str = "") -> None:
        """Check the layout: raises DataError unless the folder contains one of ``names``, which may be patterns.

        ``hint`` is a first hint of this error.
        """
        if not self.root.is_dir():
            raise DataError(f"there is no folder {shortened(self.root)}", hint=path_hint(self.root))
        if not any(next(self.root.glob(name), None) for name in names):
            raise DataError(
                f"{self.root} is not laid out as {type(self).__name__}: it has no {' or '.join(names)}",
                hint=f"{hint}any folder of audio files can be read: amphion prepare folder {self.root} OUT",
            )

    def present(self, names: Sequence[str]) -> list[Path]:
        """Those of ``names``, given in lower case, that the folder of the corpus has in any case, in this order."""
        inside = sorted(self.root.iterdir()) if self.root.is_dir() else []  # lower case sorts last, and wins
        found = {path.name.lower(): path for path in inside}
        return [found[name] for name in names if name in found]

    def skip(self, path: Path, why: str) -> None:
        """Report that a file is not used."""
        self.problems.append((self.relative(path), why))

    def relative(self, path: Path) -> str:
        """A path relative to the folder of the corpus, for reports."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def find(self, name: str, where: str, *folders: str) -> Path | None:
        """The recording that a table calls ``name``, in one of ``folders``. Without one, reports ``where`` and why."""
        if (path := self.recordings.find(name, folders)) is None:
            self.problems.append((where, self.recordings.why_missing(name, folders)))
        return path

    def text_of(self, path: Path) -> str:
        """The text of a small file in one line; empty if the file is missing, and if it is reported as unreadable."""
        return " ".join(self.lines_of(path))

    def lines_of(self, path: Path) -> list[str]:
        """The lines of a small text file; none if the file is missing, and if it is reported as unreadable."""
        if not path.is_file():
            return []
        try:
            return [line for _, line in read_lines(path)]
        except DataError as error:
            self.skip(path, f"its text is not used: {error.message.removeprefix(f'{path} ')}")
            return []


def split_of(subset: str) -> str:
    """The split of a subset: dev for "dev-clean"; empty if the name contains no split."""
    head = subset.partition("-")[0].partition("_")[0]
    return head if head in LISTS else ""


def read_lists(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Every id in train.txt, dev.txt and test.txt with (split, where) of its lines; empty without lists.

    A line is an id, a path, or a row ``path|text`` as some toolkits write their lists of files.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for split, name in LISTS.items():
        if (path := root / name).is_file():
            for number, line in read_lines(path):
                key = _listed_name(line.partition("|")[0].partition("\t")[0].strip())
                found.setdefault(key, []).append((split, f"{name} line {number}"))
    return found


def _listed_name(name: str) -> str:
    """An id or a path as it is compared: without audio suffix, and without the folder wavs."""
    name = name.replace("\\", "/").removeprefix("./")
    return (name.rpartition(".")[0] if is_audio(name) else name).removeprefix("wavs/")


def seconds(path: Path) -> float:
    """The duration of an audio file in seconds; 0 if it is missing or not audio."""
    from amphion_core.audio_files.reading import audio_length

    try:
        return audio_length(path).seconds
    except AudioFileError:
        return 0.0
