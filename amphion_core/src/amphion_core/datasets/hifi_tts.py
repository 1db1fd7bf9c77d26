"""Hi-Fi TTS: SPEAKER_manifest_clean_train.json, ..., one record per line; audio/ at 44.1 kHz."""

import json
import re
from collections.abc import Iterator

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, find_audio, lines, seconds

_NAME = re.compile(r"(?P<speaker>\d+)_manifest_(?P<quality>clean|other)_(?P<split>train|dev|test)")


class HiFiTTS(FolderReader):
    """Ten readers of audio books in English; ``extra`` states whether a recording is "clean" or "other"."""

    class Config(RootConfig):
        """The folder."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every utterance in the order of the manifests."""
        self.require("*_manifest_*_*.json")
        for manifest in sorted(self.root.glob("*_manifest_*_*.json")):
            if (match := _NAME.fullmatch(manifest.stem)) is None:
                continue
            for number, line in enumerate(lines(manifest), 1):
                try:
                    fields = json.loads(line)
                    relative = str(fields["audio_filepath"])
                except (ValueError, KeyError, TypeError):
                    self.problems.append((f"{manifest.name} line {number}", "it is not a record with audio_filepath"))
                    continue
                path = find_audio((self.root / relative).with_suffix(""))
                yield Utterance(
                    relative.rpartition(".")[0].replace("/", "_"), str(path), seconds(path),
                    text=str(fields.get("text_normalized") or fields.get("text", "")), speaker=match["speaker"],
                    language="en", split=match["split"], extra={"quality": match["quality"]},
                )  # fmt: skip
