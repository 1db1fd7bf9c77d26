"""Hi-Fi TTS: SPEAKER_manifest_clean_train.json, ..., one record per line; audio/ at 44.1 kHz."""

import json
import re
from collections.abc import Iterator

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds
from amphion_core.tables import read_lines

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
                self.skip(manifest, "not SPEAKER_manifest_QUALITY_SPLIT.json, so it is not used")
                continue
            for number, line in read_lines(manifest):
                where = f"{manifest.name} line {number}"
                try:
                    fields = json.loads(line)
                    relative = str(fields["audio_filepath"])
                except (ValueError, KeyError, TypeError, RecursionError):
                    self.problems.append((where, "it is not a record with audio_filepath"))
                    continue
                if (path := self.find(relative, where)) is None:
                    continue
                yield Utterance(
                    relative.rpartition(".")[0].replace("/", "_"), str(path), seconds(path),
                    text=str(fields.get("text_normalized") or fields.get("text") or ""), speaker=match["speaker"],
                    language="en", split=match["split"], extra={"quality": match["quality"]},
                )  # fmt: skip
