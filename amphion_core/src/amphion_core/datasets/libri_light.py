"""Libri-light: small/SPEAKER/BOOK/NAME.flac and NAME.json; long recordings at 16 kHz without transcripts."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds


class LibriLight(FolderReader):
    """Many readers of audio books in English. `amphion prepare` cuts the long recordings, or uses ``voiced`` parts."""

    class Config(RootConfig):
        """The folder, and how recordings are cut."""

        voiced: bool = Field(default=False, description="one utterance per span that the JSON marks as speech")
        joined: float = Field(default=15.0, gt=0, description="spans of speech are joined up to this length, seconds")

    config: Config
    leakage = "speaker"

    def rows(self) -> Iterator[Utterance]:
        """Every recording, or its voiced parts, sorted by path."""
        self.require("*/*/*.flac", "*/*/*/*.flac", "*/*/*.wav", "*/*/*/*.wav")
        for path in self.recordings.files:
            parts = path.relative_to(self.root).parts
            if len(parts) < 3:
                self.skip(path, "not SPEAKER/BOOK/NAME")
                continue
            speaker, book = parts[-3], parts[-2]
            name = f"{speaker}-{book}-{path.stem}"
            about = self._about(path)
            snr = about.get("snr")
            extra = {"recording": name} | ({"snr": str(snr)} if snr is not None else {})
            spans = self._spans(path, about) if self.config.voiced else []
            if not spans:
                yield Utterance(name, str(path), seconds(path), speaker=speaker, language="en", extra=extra)
                continue
            for number, (start, end) in enumerate(self._join(spans)):
                yield Utterance(
                    f"{name}-{number:04d}", str(path), end - start, start, speaker=speaker, language="en", extra=extra
                )

    def _about(self, path: Path) -> dict[str, object]:
        description = path.with_suffix(".json")
        try:
            found = json.loads(description.read_text(encoding="utf-8")) if description.is_file() else {}
            return found if isinstance(found, dict) else {}
        except (ValueError, OSError, RecursionError):
            self.skip(description, "it is not JSON")
            return {}

    def _spans(self, path: Path, about: dict[str, object]) -> list[tuple[float, float]]:
        """The spans of speech (start, end) in seconds; empty if the description has none or they make no sense."""
        stated = about.get("voice_activity")
        try:
            spans = [(float(start), float(end)) for start, end in stated] if isinstance(stated, list) else []
        except (TypeError, ValueError):
            spans = []
        is_sorted = all(0 <= start < end < math.inf for start, end in spans) and spans == sorted(spans)
        if spans and is_sorted:
            return spans
        self.skip(
            path.with_suffix(".json"), "it has no list voice_activity of (start, end): the whole recording is used"
        )
        return []

    def _join(self, spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
        """Joins neighbouring spans (start, end) in seconds to longer ones."""
        start, end = spans[0]
        for left, right in spans[1:]:
            if right - start > self.config.joined:
                yield start, end
                start = left
            end = right
        yield start, end
