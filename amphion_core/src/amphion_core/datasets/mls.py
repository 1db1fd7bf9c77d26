"""Multilingual LibriSpeech: SPLIT/transcripts.txt (id TAB text) with SPLIT/audio/SPEAKER/BOOK/ID.flac; 16 kHz."""

from collections.abc import Iterator
from pathlib import Path

from amphion_core.component import Utterance
from amphion_core.datasets.layout import SPLITS, FolderReader, RootConfig, seconds
from amphion_core.tables import read_lines

_LANGUAGES = {
    "german": "de", "dutch": "nl", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt", "polish": "pl",
    "english": "en",
}  # fmt: skip


class MLS(FolderReader):
    """Many readers of audio books in eight languages; the folder is that of one language, such as mls_german."""

    class Config(RootConfig):
        """The folder of one language."""

    config: Config
    leakage = "speaker"

    def rows(self) -> Iterator[Utterance]:
        """Every utterance in the order of the transcripts."""
        self.require("*/transcripts.txt")
        name = self.root.resolve().name.lower()
        language = next((code for word, code in _LANGUAGES.items() if word in name), "")
        for transcript in sorted(self.root.glob("*/transcripts.txt")):
            yield from self._part(transcript, language)

    def _part(self, transcript: Path, language: str) -> Iterator[Utterance]:
        for number, line in read_lines(transcript):
            where = f"{transcript.parent.name}/transcripts.txt line {number}"
            name, tab, text = line.partition("\t")
            parts = name.split("_")
            if not tab or len(parts) != 3:
                self.problems.append((where, "not id TAB text"))
                continue
            path = self.find(f"{parts[0]}/{parts[1]}/{name}", where, f"{transcript.parent.name}/audio")
            if path is None:
                continue
            yield Utterance(
                name, str(path), seconds(path), text=text, speaker=parts[0], language=language,
                split=SPLITS.get(transcript.parent.name, ""), extra={"recording": f"{parts[0]}_{parts[1]}"},
            )  # fmt: skip
