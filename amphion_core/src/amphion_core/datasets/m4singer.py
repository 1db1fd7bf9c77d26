"""M4Singer: SINGER#SONG/0000.wav with meta.json (text, phones, notes and durations of every line)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds
from amphion_core.errors import DataError
from amphion_core.tables import read_text

_SCORE = {
    "phs": "phones",
    "ph_dur": "phone_durations",
    "notes": "notes",
    "notes_dur": "note_durations",
    "is_slur": "slurs",
}


class M4Singer(FolderReader):
    """Twenty professional singers of four voice types, in Mandarin, with the score in ``extra``."""

    class Config(RootConfig):
        """The folder."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every line in the order of meta.json; without meta.json every file."""
        self.require("meta.json", "*#*")
        if not (self.root / "meta.json").is_file():
            for path in self.recordings.files:
                name = f"{path.parent.name}#{path.stem}"
                if name.count("#") == 2:
                    yield self._row(name, path, {})
                else:
                    self.skip(path, "not SINGER#SONG/LINE")
            return
        for number, fields in enumerate(self._items()):
            where, name = f"meta.json item {number}", str(fields.get("item_name")) if isinstance(fields, dict) else ""
            if name.count("#") != 2:
                self.problems.append((where, "it has no item_name SINGER#SONG#LINE"))
                continue
            folder, _, line = name.rpartition("#")
            if (found := self.find(f"{folder}/{line}", where)) is not None:
                yield self._row(name, found, fields)

    def _items(self) -> list[Any]:
        try:
            items = json.loads(read_text(self.root / "meta.json"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.root}/meta.json is not JSON: {error}", hint="download it again") from error
        if not isinstance(items, list):
            raise DataError(f"{self.root}/meta.json is not a list of lines", hint="download it again")
        return items

    def _row(self, name: str, path: Path, fields: dict[str, object]) -> Utterance:
        singer, song, _ = name.split("#")
        score = {
            ours: " ".join(map(str, value))
            for key, ours in _SCORE.items()
            if isinstance(value := fields.get(key), list)
        }
        return Utterance(
            name, str(path), seconds(path), text=str(fields.get("txt") or ""), speaker=singer, language="zh",
            extra=score | {"song": song, "recording": f"{singer}#{song}"},
        )  # fmt: skip
