"""LibriSpeech: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac with SPEAKER-CHAPTER.trans.txt."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from amphion_core.audio_files import audio_files, is_audio
from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds, split_of
from amphion_core.tables import read_lines


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
        texts: dict[str, str] = {}
        read: set[Path] = set()
        for path in audio_files(self.root):
            parts = path.relative_to(self.root).parts
            subset = parts[0] if len(parts) == 4 else ""
            if len(parts) not in (3, 4) or path.stem.count("-") != 2:
                self.skip(path, "not SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN")
                continue
            if not self._is_selected(subset):
                self.skip(path, "not in one of the chosen subsets")
                continue
            if path.parent not in read:
                read.add(path.parent)
                texts = self._read(path.parent)
            yield Utterance(
                path.stem, str(path), seconds(path), text=texts.get(path.stem, ""), speaker=parts[-3],
                language="en", split=split_of(subset), extra={"recording": path.stem.rpartition("-")[0]},
            )  # fmt: skip

    def _is_selected(self, subset: str) -> bool:
        return not self.config.subsets or subset in self.config.subsets

    def _read(self, chapter: Path) -> dict[str, str]:
        """The texts of a chapter by id. Lines that no recording belongs to are problems."""
        texts: dict[str, str] = {}
        names = {path.stem for path in chapter.iterdir() if is_audio(path)}
        for transcript in sorted(chapter.glob("*.trans.txt")):
            for number, line in read_lines(transcript):
                name, _, text = line.partition(" ")
                where = f"{self.relative(transcript)} line {number}"
                if name not in names:
                    self.problems.append((where, f"there is no such file: {name} in this folder"))
                elif name in texts:
                    self.problems.append((where, f"a second text of one recording: {name}"))
                else:
                    texts[name] = text.strip()
        return texts
