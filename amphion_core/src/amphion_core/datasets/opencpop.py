"""Opencpop: segments/wavs/ID.wav with segments/train.txt and test.txt (id|text|phones|notes|note durations|...)."""

from collections.abc import Iterator

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds
from amphion_core.tables import read_lines

_COLUMNS = ("phones", "notes", "note_durations", "phone_durations", "slurs")


class Opencpop(FolderReader):
    """One professional singer, in Mandarin: 100 songs cut into segments, with the score in ``extra``."""

    class Config(RootConfig):
        """The folder that contains segments/."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every segment in the order of the lists. A recording is a song, the first four digits of an id."""
        self.require("segments/wavs", "segments/train.txt")
        for split in ("train", "test"):
            path = self.root / "segments" / f"{split}.txt"
            for number, line in read_lines(path) if path.is_file() else ():
                where = f"segments/{split}.txt line {number}"
                name, *columns = (cell.strip() for cell in line.split("|"))
                if not columns:
                    self.problems.append((where, "it has no |"))
                    continue
                if (audio := self.find(name, where, "segments/wavs")) is None:
                    continue
                score = dict(zip(_COLUMNS, columns[1:], strict=False))
                yield Utterance(
                    name, str(audio), seconds(audio), text=columns[0], speaker="opencpop", language="zh", split=split,
                    extra=score | {"recording": name[:4]},
                )  # fmt: skip
