"""M4Singer: SINGER#SONG/0000.wav with meta.json (text, phones, notes and durations of every line)."""

import json
from collections.abc import Iterator

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, audio_files, find_audio, seconds
from amphion_core.errors import DataError

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
            for path in audio_files(self.root):
                yield self._row(f"{path.parent.name}#{path.stem}", {})
            return
        try:
            items = json.loads((self.root / "meta.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{self.root}/meta.json is not JSON: {error}", hint="download it again") from error
        for number, fields in enumerate(items):
            if not isinstance(fields, dict) or str(fields.get("item_name", "")).count("#") != 2:
                self.problems.append((f"meta.json item {number}", "it has no item_name SINGER#SONG#LINE"))
                continue
            yield self._row(str(fields["item_name"]), fields)

    def _row(self, name: str, fields: dict[str, object]) -> Utterance:
        singer, song, line = name.split("#")
        path = find_audio(self.root / f"{singer}#{song}" / line)
        score = {
            ours: " ".join(map(str, value))
            for key, ours in _SCORE.items()
            if isinstance(value := fields.get(key), list)
        }
        return Utterance(
            name, str(path), seconds(path), text=str(fields.get("txt", "")), speaker=singer, language="zh",
            extra=score | {"song": song, "recording": f"{singer}#{song}"},
        )  # fmt: skip
