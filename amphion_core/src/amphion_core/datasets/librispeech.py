"""LibriSpeech: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac with SPEAKER-CHAPTER.trans.txt."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, audio_files, lines, seconds, split_of


class LibriSpeech(FolderReader):
    """Many readers of audio books in English. Texts are in capitals without punctuation; they may be missing."""

    class Config(RootConfig):
        """The folder, and the parts of it that are read."""

        subsets: tuple[str, ...] = Field(default=(), description="parts such as train-clean-100; empty: all parts")

    config: Config
    leakage = "speaker"

    def rows(self) -> Iterator[Utterance]:
        """Every file, sorted by path. "dev-clean" and "dev-other" are the split dev; test and train are named alike."""
        self.require("*/*/*-*-*.*", "*/*/*/*-*-*.*")
        texts: dict[Path, dict[str, str]] = {}
        for path in audio_files(self.root):
            parts = path.relative_to(self.root).parts
            subset = parts[0] if len(parts) == 4 else ""
            if len(parts) not in (3, 4) or path.stem.count("-") != 2 or not self._is_selected(subset):
                continue
            transcript = path.parent / f"{path.stem.rpartition('-')[0]}.trans.txt"
            if transcript not in texts:
                texts = {transcript: _read(transcript)}
            yield Utterance(
                path.stem, str(path), seconds(path), text=texts[transcript].get(path.stem, ""), speaker=parts[-3],
                language="en", split=split_of(subset), extra={"recording": path.stem.rpartition("-")[0]},
            )  # fmt: skip

    def _is_selected(self, subset: str) -> bool:
        return not self.config.subsets or subset in self.config.subsets


def _read(transcript: Path) -> dict[str, str]:
    if not transcript.is_file():
        return {}
    pairs = (line.partition(" ") for line in lines(transcript))
    return {name: text for name, _, text in pairs}
