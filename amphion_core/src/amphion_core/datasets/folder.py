"""Any folder of audio files, with or without a table of texts, speakers and other columns."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from amphion_core.audio_files import SUFFIXES, is_audio
from amphion_core.component import Utterance
from amphion_core.datasets.columns import KNOWN, NAMES, TableConfig, listed
from amphion_core.datasets.layout import LISTS, SPLITS, TEMPLATE, FolderReader, seconds
from amphion_core.datasets.recordings import FOLDERS
from amphion_core.datasets.text_files import TextFiles, has_times
from amphion_core.errors import DataError, shortened
from amphion_core.files import is_file, path_hint
from amphion_core.tables import Table, read_table

_TABLES = ("metadata.csv", "manifest.csv", "metadata.tsv", "manifest.tsv")
_NO_SPEAKERS = {*FOLDERS, "data"}  # folders with these names do not name a speaker
_KEYS = {*NAMES["id"], *NAMES["path"]}
_SAMPLE = 100  # rows that decide whether a table without a header names recordings
_BEGINNING = 10_000  # bytes that decide whether a file beside the recordings may be a table
_NO_TRANSCRIPTS = {"readme", "license", "licence", "copying", "changelog", "notice"}


class Folder(FolderReader):
    """Every audio file below a folder.

    A table (metadata.csv, manifest.csv or .tsv) may list the files. Its columns are id, path, text, speaker, language,
    caption and split, in any order; other columns are kept as extra fields. Without a header the first column is an id
    or a path. Without a table, a text file with the name of an audio file (a.wav, a.txt) is its transcript; it may be
    in a folder for texts such as txt/.
    """

    class Config(TableConfig):
        """The folder, and how its files are interpreted."""

        speaker_from_folder: bool = Field(default=True, description="whether the first sub-folder is the speaker")
        speaker: str = Field(default="", description="the speaker of files without another one")
        language: str = Field(default="", description="the language of files without another one")
        captions: Literal["column", "text", "folder"] = Field(
            default="column",
            description="where the captions of sounds come from: a column called caption; the text of each file, which "
            "is then no speech; or the name of the first sub-folder, which is then no speaker",
        )
        caption_template: str = Field(
            default="{}",
            pattern=TEMPLATE,
            description="sentence with {} for the caption: a recording of {}",
        )

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every utterance in the order of the table, or sorted by path without a table."""
        if not self.root.is_dir():
            raise DataError(f"there is no folder {shortened(self.root)}", hint=path_hint(self.root))
        found = self._find_table()
        yield from map(self._captioned, self._files() if found is None else self._table(found))

    def _captioned(self, found: Utterance) -> Utterance:
        """The utterance with its caption, from where the config says."""
        caption = found.caption
        cleared: dict[str, Any] = {}
        if self.config.captions == "text":
            caption, cleared = found.text, {"text": ""}
        elif self.config.captions == "folder":
            path = Path(found.path)
            inside = path.relative_to(self.root).parts[:-1] if path.is_relative_to(self.root) else ()
            named = [part for part in inside if part.lower() not in _NO_SPEAKERS]
            caption, cleared = (
                re.sub(r"[\W_]+", " ", named[0]).strip() if named else "",
                {"speaker": self.config.speaker},
            )
        if not caption:
            return found if self.config.captions == "column" else replace(found, caption="", **cleared)
        return replace(found, caption=self.config.caption_template.format(caption), **cleared)

    def _find_table(self) -> Table | None:
        """The table of the recordings; None if there is none."""
        stated = self.config.table
        for path in [self.root / stated] if stated else filter(is_file, self.present(_TABLES)):
            table = read_table(path, names=KNOWN)
            if not table.header and table.rows and _KEYS & {cell.casefold() for cell in table.rows[0].cells}:
                first = table.rows[0].cells[0]
                table = table if self.recordings.find(first) else read_table(path, names=KNOWN, header=True)
            if self.config.columns or self._names_recordings(table):
                return table
            if stated:
                raise DataError(f"{path} has no column id or path", hint="name the columns in its first line")
            self.problems.append((path.name, "not used: its first line has no column id or path"))
        return None

    def _names_recordings(self, table: Table) -> bool:
        """Whether the header has an id or a path, or most rows without a header begin with one."""
        if table.header:
            return bool(_KEYS & set(table.header))
        sample = table.rows[:_SAMPLE]
        return sum(self.recordings.find(row.cells[0]) is not None for row in sample) * 2 > len(sample)

    def _files(self) -> Iterator[Utterance]:
        if not self.recordings.files:
            unreadable = [f"{path.name}: {why}" for path, why in self.recordings.left_out.items()][:1]
            raise DataError(
                f"{self.root} contains no audio files" + "".join(f" that can be read ({text})" for text in unreadable),
                hint=f"known suffixes: {', '.join(SUFFIXES)}",
            )
        for path in self.recordings.files:
            relative = path.relative_to(self.root)
            yield Utterance(
                unicodedata.normalize("NFC", str(relative.with_suffix(""))), str(path), seconds(path),
                text=self._transcript(path), speaker=self._speaker(relative), language=self.config.language,
            )  # fmt: skip
        self._name_unused()

    def _name_unused(self) -> None:
        """Report the files that look like a table of these recordings, and text files without a recording."""
        known = set(self.present(_TABLES))
        beside = [path for path in sorted(self.root.iterdir()) if not is_audio(path) and path not in known]
        tables = {path: first for path in beside if (first := self._first_row(path))}
        for path, first in tables.items():
            is_table = re.match(r"[^|\t,; {[]*[|\t,;]", first)  # neither JSON nor words with spaces between
            what = f"table={path.name} reads it" if is_table else "write it as lines id|text"
            self.problems.append((path.name, f"not used, but it names recordings: {what}"))
        for path in self._texts.unused():
            is_list = path.parent == self.root and path.name in LISTS.values()
            if path not in tables and not is_list and path.stem.lower() not in _NO_TRANSCRIPTS:
                self.skip(path, "its text is not used: there is no recording of this name")

    def _first_row(self, path: Path) -> str:
        """The first line that names a recording, if most lines at the beginning of a file do; else an empty text."""
        if path.name.startswith(".") or not is_file(path):
            return ""
        recording = self.recordings.find(path.stem)
        if recording is not None and self._texts.of(recording) == path:
            return ""
        with path.open("rb") as file:
            lines = file.read(_BEGINNING).decode("utf-8", "replace").split("\n")
        lines = [line for line in lines if line.strip() and "\0" not in line][:_SAMPLE]
        if path.name in LISTS.values():  # a list of ids is used; rows with a text are not
            lines = [line for line in lines if re.search(r"[|\t]", line)]
        named = [line for line in lines if any(map(self.recordings.find, _possible_names(line)))]
        return named[0] if len(named) * 2 > len(lines) else ""

    @cached_property
    def _texts(self) -> TextFiles:
        return TextFiles(self.root)

    def _transcript(self, recording: Path) -> str:
        path = self._texts.of(recording)
        if path is None:
            return ""
        lines = self.lines_of(path)
        if path.suffix.lower() == ".lab" and has_times(lines):
            self.skip(path, "its text is not used: it states the times of sounds, not a transcript")
            return ""
        return " ".join(lines)

    def _table(self, table: Table) -> Iterator[Utterance]:
        for fields, path in listed(table, self.recordings, self.problems, self.config.columns):
            relative = path.relative_to(self.root) if path.is_relative_to(self.root) else Path(path.name)
            yield Utterance(
                fields["id"], str(path), seconds(path), text=fields["text"] or fields["normalized"],
                speaker=fields["speaker"] or self._speaker(relative),
                language=fields["language"] or self.config.language, caption=fields["caption"],
                split=SPLITS.get(fields["split"].casefold(), fields["split"]),
                extra={name: value for name, value in fields.items() if value and name not in NAMES},
            )  # fmt: skip

    def _speaker(self, relative: Path) -> str:
        first = relative.parts[0].lower()
        inside = self.config.speaker_from_folder and len(relative.parts) > 1 and first not in _NO_SPEAKERS
        return relative.parts[0] if inside else self.config.speaker


def _possible_names(line: str) -> list[str]:
    """What may be the name of a recording in a line of any table: its beginning, or a text in quotation marks."""
    first = re.split(r"[|\t,; ]", line.strip(), maxsplit=1)[0]
    return [name for name in (first, *re.findall(r'"([^"]{1,300})"', line)[:10]) if name.strip('"')]
