"""LibriTTS and LibriTTS-R: SUBSET/SPEAKER/CHAPTER/ID.wav with ID.normalized.txt and ID.original.txt; 24 kHz."""

from collections.abc import Iterator

from pydantic import Field

from amphion_core.audio_files import audio_files
from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds, split_of


class LibriTTS(FolderReader):
    """Many readers of audio books in English; texts have punctuation, and utterances end at pauses of the reader."""

    class Config(RootConfig):
        """The folder, the parts of it that are read, and the kind of text."""

        subsets: tuple[str, ...] = Field(default=(), description="parts such as train-clean-100; empty: all parts")
        normalized: bool = Field(default=True, description="use the texts that have numbers as words")

    config: Config
    leakage = "speaker"

    def rows(self) -> Iterator[Utterance]:
        """Every file, sorted by path."""
        self.require("*/*/*/*_*_*_*.*")
        kind = "normalized" if self.config.normalized else "original"
        for path in audio_files(self.root):
            parts = path.relative_to(self.root).parts
            if len(parts) != 4:
                self.skip(path, "not SUBSET/SPEAKER/CHAPTER/ID")
                continue
            if self.config.subsets and parts[0] not in self.config.subsets:
                self.skip(path, "not in one of the chosen subsets")
                continue
            yield Utterance(
                path.stem, str(path), seconds(path), text=self.text_of(path.with_name(f"{path.stem}.{kind}.txt")),
                speaker=parts[1], language="en", split=split_of(parts[0]),
                extra={"recording": f"{parts[1]}_{parts[2]}"},
            )  # fmt: skip
