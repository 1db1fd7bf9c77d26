"""LJSpeech, and voices laid out like it: metadata.csv (id|text|normalised text) and wavs/."""

from collections.abc import Iterator

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, find_audio, lines, seconds


class LJSpeech(FolderReader):
    """One speaker. A recording of LJSpeech is a chapter: ids LJ001-0001, LJ001-0002, ... come from one."""

    class Config(RootConfig):
        """The folder, and what is said of the speaker."""

        speaker: str = Field(default="", description="name of the speaker; empty: the folder's name")
        language: str = Field(default="", description="language of the texts, such as en")
        normalized: bool = Field(default=True, description="take the third column, with numbers as words")

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """As metadata.csv lists them."""
        self.require("metadata.csv")
        speaker = self.config.speaker or self.root.resolve().name
        for number, line in enumerate(lines(self.root / "metadata.csv"), 1):
            name, bar, rest = line.partition("|")  # no quoting: texts hold quotation marks of their own
            if not bar:
                self.problems.append((f"metadata.csv line {number}", "no | in it"))
                continue
            columns = rest.split("|")
            text = columns[1] if self.config.normalized and len(columns) > 1 and columns[1] else columns[0]
            path = find_audio(self.root / "wavs" / name)
            chapter = {"recording": name.partition("-")[0]} if name.startswith("LJ") and "-" in name else {}
            yield Utterance(
                name, str(path), seconds(path), text=text, speaker=speaker, language=self.config.language, extra=chapter
            )
