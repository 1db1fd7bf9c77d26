"""The text files that belong to recordings: beside them, or in a folder for texts."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from amphion_core.datasets.recordings import FOLDERS, spelling_key

SUFFIXES = (".txt", ".lab")  # the first is preferred
TEXT_FOLDERS = frozenset(
    {"txt", "text", "texts", "lab", "labels", "transcript", "transcripts", "transcription", "transcriptions"}
)
_TIMES = re.compile(r"\s*[\d.]+\s+[\d.]+\s+\S+\s*")


class TextFiles:
    """The text files of a corpus. ``a.txt``, ``a.lab`` or ``A.TXT`` belongs to ``a.wav`` if it is in the same folder.

    It may also be in a folder for texts: ``txt/anna/a.txt`` or ``anna/txt/a.txt`` belongs to ``anna/a.wav``, and
    ``txt/a.txt`` belongs to ``wavs/a.wav``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[Path, dict[str, list[Path]]] = {}
        self._near: dict[Path, list[dict[str, list[Path]]]] = {}
        self._used: set[Path] = set()  # text files that belong to a recording

    def of(self, recording: Path) -> Path | None:
        """The text file of a recording; None if it has none."""
        folder = recording.parent
        if folder not in self._near:
            listings = (self._listing(path) for path in (folder, *self._text_folders(folder)))
            self._near[folder] = [listing for listing in listings if listing]
        for listing in self._near[folder]:
            if found := listing.get(spelling_key(recording.stem)):
                self._used.update(found)
                return next((path for path in found if path.stem == recording.stem), found[0])
        return None

    def unused(self) -> list[Path]:
        """The text files, in the folders where texts were looked for, that belong to none of these recordings."""
        found = {path for listing in self._listings.values() for names in listing.values() for path in names}
        return sorted(found - self._used)

    def _text_folders(self, folder: Path) -> list[Path]:
        """The existing folders for texts that may belong to the recordings in ``folder``."""
        parts = folder.relative_to(self.root).parts if folder.is_relative_to(self.root) else ()
        found: list[Path] = []
        for index in range(len(parts), -1, -1):
            above = self.root.joinpath(*parts[:index])
            rests = [parts[index:]]
            if index < len(parts) and parts[index].lower() in FOLDERS:
                rests.append(parts[index + 1 :])
            for name in _entries(above):
                if name.lower() in TEXT_FOLDERS:
                    found += [path for rest in rests if (path := above.joinpath(name, *rest)).is_dir()]
        return found

    def _listing(self, folder: Path) -> dict[str, list[Path]]:
        """The text files of a folder by name; case and composition of accents are removed."""
        if folder not in self._listings:
            listing: dict[str, list[Path]] = {}
            for name in _entries(folder):
                stem, suffix = os.path.splitext(name)  # noqa: PTH122 - called for every file of a corpus
                if suffix.lower() in SUFFIXES:
                    listing.setdefault(spelling_key(stem), []).append(folder / name)
            for paths in listing.values():
                paths.sort(key=lambda path: SUFFIXES.index(path.suffix.lower()))
            self._listings[folder] = listing
        return self._listings[folder]


def has_times(lines: Sequence[str]) -> bool:
    """Whether a .lab file states the time of every sound (start, end, label) and so is not a transcript."""
    return bool(lines) and all(_TIMES.fullmatch(line) for line in lines)


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - faster, and only names are needed
    except OSError:
        return []
