"""VCTK: txt/SPEAKER/ID.txt with wav48_silence_trimmed/SPEAKER/ID_mic1.flac (0.92) or wav48/SPEAKER/ID.wav (0.80)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from amphion_core.audio_files import audio_files
from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds
from amphion_core.tables import read_lines


class VCTK(FolderReader):
    """About 110 speakers with different English accents; some texts are common. Speaker p315 has no transcripts."""

    class Config(RootConfig):
        """The folder, the microphone and the language."""

        microphone: Literal["mic1", "mic2"] = Field(default="mic1", description="if a recording has two (0.92)")
        language: str = Field(default="", description="language of the texts; empty: none")

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every recording, sorted by path."""
        self.require("wav48_silence_trimmed", "wav48", "wav16", "wav*")
        folder = next(path for name in ("wav48_silence_trimmed", "wav48", "wav*") for path in self.root.glob(name))
        about = _speakers(self.root / "speaker-info.txt")
        for path in audio_files(folder):
            name, _, microphone = path.stem.partition("_mic")
            if microphone and f"mic{microphone}" != self.config.microphone:
                self.skip(path, f"another microphone than {self.config.microphone}")
                continue
            speaker = path.parent.name
            yield Utterance(
                name, str(path), seconds(path), text=self.text_of(self.root / "txt" / speaker / f"{name}.txt"),
                speaker=speaker, language=self.config.language, extra=about.get(speaker, {}),
            )  # fmt: skip


def _speakers(path: Path) -> dict[str, dict[str, str]]:
    """Gender and accent by speaker, from columns ID AGE GENDER ACCENTS REGION."""
    if not path.is_file():
        return {}
    rows = (line.split() for _, line in read_lines(path)[1:])
    return {
        row[0] if row[0].startswith(("p", "s")) else f"p{row[0]}": {"gender": row[2], "accent": row[3]}
        for row in rows
        if len(row) > 3
    }
