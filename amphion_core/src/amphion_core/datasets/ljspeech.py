"""LJSpeech, and corpora with a similar layout: metadata.csv (id|text|normalised text) and wavs/."""

from collections.abc import Iterator

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.columns import KNOWN, TableConfig, listed, without_folder
from amphion_core.datasets.layout import FolderReader, seconds
from amphion_core.tables import read_table

_TABLES = ("metadata.csv", "metadata.tsv", "metadata.txt")


class LJSpeech(FolderReader):
    """A table (metadata.csv, .tsv or .txt) and a folder of recordings, of one speaker or of several.

    Any delimiter, ids with suffix or folder, a header, and columns in another order are understood; see
    ``datasets/columns.py``. A recording of LJSpeech is a chapter, which contains the ids LJ001-0001, LJ001-0002, ...
    """

    class Config(TableConfig):
        """The folder, the speaker and the texts."""

        speaker: str = Field(default="", description="name of the speaker, if no column has it; empty: the folder's")
        language: str = Field(default="", description="language of the texts, such as en")
        normalized: bool = Field(default=True, description="use the third column, which has numbers as words")

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every utterance in the order of the table."""
        if self.config.table:
            path = self.root / self.config.table
        else:
            found = self.present(_TABLES)
            if not found:
                self.require(*_TABLES, hint="a table of another name is given by table=NAME; ")
            path = found[0]
        table = read_table(path, names=KNOWN)
        speaker = self.config.speaker or self.root.resolve().name
        for fields, recording in listed(table, self.recordings, self.problems, self.config.columns):
            name = without_folder(fields["id"])
            normalized = fields["normalized"] if self.config.normalized else ""
            chapter = {"recording": name.partition("-")[0]} if name.startswith("LJ") and "-" in name else {}
            yield Utterance(
                name, str(recording), seconds(recording), text=normalized or fields["text"] or fields["normalized"],
                speaker=fields["speaker"] or speaker, language=fields["language"] or self.config.language,
                extra=chapter,
            )  # fmt: skip
