"""The recordings of a corpus, found by the names that tables use for them."""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from amphion_core.audio_files import SUFFIXES, audio_files, find_audio, is_audio
from amphion_core.data.paths import absolute
from amphion_core.errors import shortened
from amphion_core.files import is_file

FOLDERS = ("wavs", "wav", "audio", "clips")
"""Usual names of the folder of the recordings; tables leave it out."""


class Recordings:
    """The audio files below a folder. A name in a table may differ from the path in several ways, see `find`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: dict[Path, str] = {}
        self._prefix = len(str(root / "x")) - 1  # characters of a path before the part below the root

    @cached_property
    def files(self) -> list[Path]:
        """Every audio file, sorted by path. ``left_out`` gets the files whose format or name cannot be used."""
        return audio_files(self.root, self.left_out.__setitem__)

    def find(self, name: str, folders: Sequence[str] = FOLDERS) -> Path | None:
        """The file that a table calls ``name``; None if there is none.

        The name may have a suffix or not, ``/`` or ``\\``, and start at the corpus or at one of ``folders``. Upper and
        lower case may differ, and accents may be composed or decomposed. A name without a folder is also found in any
        folder, if only one recording has it. Of an absolute path that does not exist, the end is looked up, because
        the corpus may have moved.
        """
        name = name.replace("\\", "/").strip()
        is_absolute = name.startswith("/") or name[1:3] == ":/"
        if is_absolute and is_file(name):
            return Path(name)
        parts = [part for part in name.split("/") if part not in ("", ".")]
        starts = range(len(parts)) if is_absolute else range(min(1, len(parts)))
        for start in starts:
            relative = "/".join(parts[start:])
            for folder in ("", *folders):
                if (found := self._lookup(f"{folder}/{relative}" if folder else relative)) is not None:
                    return found
        if len(parts) == 1 and (found := self._anywhere(parts[0])) is not None:
            return found
        if not parts or is_absolute:
            return None
        outside = find_audio(self.root.joinpath(*parts))  # through "..", or in a hidden folder
        return absolute(outside) if is_file(outside) else None

    def why_missing(self, name: str, folders: Sequence[str] = FOLDERS) -> str:
        """The reason to skip a row whose recording `find` does not find, with the paths that it tried."""
        same = self._by_name.get(spelling_key(name.strip()), [])
        if len(same) > 1:
            paths = ", ".join(str(path)[self._prefix :] for path in same)
            return f"several files have this name: {shortened(name)}; write it with its folder: {shortened(paths)}"
        if not name.isprintable():
            name = "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in name)
            return f"there is no such file: {shortened(name)}; its name has characters that cannot be seen"
        return f"there is no such file: {shortened(name)}; tried {shortened(self._tried(name, folders))}"

    def _tried(self, name: str, folders: Sequence[str]) -> str:
        name = name.replace("\\", "/").strip()
        if name.startswith("/"):
            return f"{name}, also below {self.root}"
        present = [folder for folder in folders if (self.root / folder).is_dir()]
        any_suffix = "" if is_audio(name) else ".*"
        return ", ".join(f"{folder}/{name}{any_suffix}".removeprefix("/") for folder in (*present, ""))

    def name_of(self, path: Path) -> str:
        """The path of a recording relative to the corpus, without suffix, with ``/`` and composed accents."""
        relative = path.relative_to(self.root) if path.is_relative_to(self.root) else Path(path.name)
        return unicodedata.normalize("NFC", relative.with_suffix("").as_posix())

    @cached_property
    def _by_path(self) -> dict[str, list[Path]]:
        """Files by relative path, with and without suffix; case and composition of accents are removed."""
        return _indexed((str(path)[self._prefix :].replace("\\", "/"), path) for path in self.files)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        """Files by name without folder, with and without suffix."""
        return _indexed((path.name, path) for path in self.files)

    def _lookup(self, relative: str) -> Path | None:
        """The file at a relative path: that spelling if it exists, else the most usual suffix."""
        for key in (relative, relative.rpartition(".")[0]) if is_audio(relative) else (relative,):
            if found := self._by_path.get(spelling_key(key)):
                return self._nearest(found, relative)
        return None

    def _nearest(self, found: list[Path], relative: str) -> Path:
        """The file that is spelled most like ``relative``; among equals the one with the most usual suffix."""
        if len(found) == 1:
            return found[0]

        def rank(path: Path) -> tuple[bool, bool, int]:
            spelled = str(path)[self._prefix :].replace("\\", "/")
            other_stem = spelled.rpartition(".")[0] not in (relative, relative.rpartition(".")[0])
            return spelled != relative, other_stem, SUFFIXES.index(path.suffix.lower())

        return min(found, key=rank)

    def _anywhere(self, name: str) -> Path | None:
        for key in (name, name.rpartition(".")[0]) if is_audio(name) else (name,):
            if len(found := self._by_name.get(spelling_key(key), [])) == 1:
                return found[0]
        return None


def _indexed(named: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    """The files by the `spelling_key` of their names, with and without suffix."""
    found: dict[str, list[Path]] = {}
    for name, path in named:
        key = spelling_key(name)
        found.setdefault(key, []).append(path)
        found.setdefault(key.rpartition(".")[0], []).append(path)
    return found


def spelling_key(path: str) -> str:
    """A text that is the same for all spellings of a path that differ in case or in the composition of accents."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()
