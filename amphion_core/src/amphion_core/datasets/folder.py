"""Any folder of audio files, with or without a table of texts, speakers and other columns."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import (
    SPLITS,
    FolderReader,
    RootConfig,
    audio_files,
    find_audio,
    seconds,
    table,
    text_of,
)
from amphion_core.errors import DataError

_TABLES = ("metadata.csv", "manifest.csv", "metadata.tsv", "manifest.tsv")
_NO_SPEAKERS = {"audio", "clips", "data", "wav", "wavs"}  # folders with these names do not name a speaker
_NAMES = {
    "id": ("id", "utterance"), "path": ("path", "file", "filename", "file_name", "audio"),
    "text": ("text", "transcript", "transcription", "sentence"), "speaker": ("speaker", "spk", "speaker_id"),
    "language": ("language", "lang", "locale"), "caption": ("caption", "description"), "split": ("split", "subset"),
}  # fmt: skip


class Folder(FolderReader):
    """Every audio file below a folder.

    A table (metadata.csv, manifest.csv or .tsv; separated by comma, tab or |) may list the files. Its columns are id,
    path, text, speaker, language, caption and split, in any order; other columns go to ``extra``. Without a table, a
    text file with the name of an audio file (a.wav, a.txt) is its transcript.
    """

    class Config(RootConfig):
        """The folder, and how its files are interpreted."""

        speaker_from_folder: bool = Field(default=True, description="whether the first sub-folder is the speaker")
        speaker: str = Field(default="", description="the speaker of files without another one")
        language: str = Field(default="", description="the language of files without another one")
        table: str = Field(default="", description="file of the table; empty: metadata or manifest, .csv or .tsv")

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every utterance in the order of the table, or sorted by path without a table."""
        if not self.root.is_dir():
            raise DataError(f"there is no folder {self.root}", hint="check the path")
        found = self._find_table()
        yield from self._files() if found is None else self._table(*found)

    def _find_table(self) -> tuple[Path, str] | None:
        """The table and the separator of its columns; None without a table that has a column id or path."""
        stated = self.config.table
        for name in (stated,) if stated else _TABLES:
            path = self.root / name
            if stated and not path.is_file():
                raise DataError(f"the table {path} does not exist", hint="check the option table")
            header = text_of(path).partition("\n")[0].lower()
            separator = max("|\t,", key=header.count)
            if {column.strip() for column in header.split(separator)} & {*_NAMES["id"], *_NAMES["path"]}:
                return path, separator
            if stated:
                raise DataError(f"{path} has no column id or path", hint="name the columns in its first line")
            if path.is_file():
                self.problems.append((name, "not used: its first line has no column id or path"))
        return None

    def _files(self) -> Iterator[Utterance]:
        files = audio_files(self.root)
        if not files:
            raise DataError(f"{self.root} contains no audio files", hint="known suffixes: .wav, .flac, .ogg, .mp3")
        for path in files:
            relative = path.relative_to(self.root)
            yield Utterance(
                str(relative.with_suffix("")), str(path), seconds(path), text=text_of(path.with_suffix(".txt")),
                speaker=self._speaker(relative), language=self.config.language,
            )  # fmt: skip

    def _table(self, path: Path, delimiter: str) -> Iterator[Utterance]:
        for number, row in table(path, delimiter):
            lower = {key.strip().lower(): value.strip() for key, value in row.items()}
            known = {
                ours: next((lower[name] for name in names if lower.get(name)), "") for ours, names in _NAMES.items()
            }
            if not known["path"] and not known["id"]:
                self.problems.append((f"{path.name} line {number}", "neither id nor path"))
                continue
            audio = self.root / known["path"] if known["path"] else find_audio(self.root / known["id"])
            relative = audio.relative_to(self.root)
            used = {name for names in _NAMES.values() for name in names}
            yield Utterance(
                known["id"] or str(relative.with_suffix("")), str(audio), seconds(audio), text=known["text"],
                speaker=known["speaker"] or self._speaker(relative), language=known["language"] or self.config.language,
                caption=known["caption"], split=SPLITS.get(known["split"], known["split"]),
                extra={key: value for key, value in lower.items() if value and key not in used},
            )  # fmt: skip

    def _speaker(self, relative: Path) -> str:
        first = relative.parts[0].lower()
        inside = self.config.speaker_from_folder and len(relative.parts) > 1 and first not in _NO_SPEAKERS
        return relative.parts[0] if inside else self.config.speaker
