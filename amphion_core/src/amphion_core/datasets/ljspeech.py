"""LJSpeech, and corpora with the same layout: metadata.csv (id|text|normalised text) and wavs/."""

from collections.abc import Iterator

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, find_audio, lines, seconds


class LJSpeech(FolderReader):
    """One speaker. A recording of LJSpeech is a chapter, which contains the ids LJ001-0001, LJ001-0002, ..."""

    class Config(RootConfig):
        """The folder, the speaker and the texts."""

        speaker: str = Field(default="", description="name of the speaker; empty: the name of the folder")
        language: str = Field(default="", description="language of the texts, such as en")
        normalized: bool = Field(default=True, description="use the third column, which has numbers as words")

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every utterance in the order of metadata.csv."""
        self.require("metadata.csv")
        speaker = self.config.speaker or self.root.resolve().name
        for number, line in enumerate(lines(self.root / "metadata.csv"), 1):
            name, separator, rest = line.partition("|")  # not read as csv: texts contain quotation marks
            if not separator:
                self.problems.append((f"metadata.csv line {number}", "it has no |"))
                continue
            columns = rest.split("|")
            text = columns[1] if self.config.normalized and len(columns) > 1 and columns[1] else columns[0]
            path = find_audio(self.root / "wavs" / name)
            chapter = {"recording": name.partition("-")[0]} if name.startswith("LJ") and "-" in name else {}
            yield Utterance(
                name, str(path), seconds(path), text=text, speaker=speaker, language=self.config.language, extra=chapter
            )
