"""AudioCaps: train.csv, val.csv, test.csv (audiocap_id,youtube_id,start_time,caption) and a folder of clips."""

from collections.abc import Iterator
from pathlib import Path

from amphion_core.component import Utterance
from amphion_core.datasets.layout import SPLITS, FolderReader, RootConfig, seconds
from amphion_core.tables import read_table


class AudioCaps(FolderReader):
    """Sounds of ten seconds with captions. Clips that are missing are listed as problems; they are not errors.

    Downloaders name clips in different ways; every file whose name contains the YouTube id is found. Clips for
    validation and test have five captions, which are five utterances of one recording.
    """

    class Config(RootConfig):
        """The folder with the tables and the clips."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every caption in the order of the tables."""
        self.require("train.csv", "val.csv", "test.csv", "dataset/*.csv")
        clips = {path.stem: path for path in self.recordings.files}
        ids = _by_youtube_id(clips)
        for path in sorted([*self.root.glob("*.csv"), *self.root.glob("dataset/*.csv")]):
            if (split := SPLITS.get(path.stem)) is None:
                continue
            table = read_table(path, header=True, delimiter=",")
            for number, row in table.records({"caption"}):
                youtube, start = row.get("youtube_id", ""), row.get("start_time", "0")
                clip = clips.get(row.get("audiocap_id", "")) or ids.get(youtube)
                if not youtube or clip is None:
                    why = f"there is no clip: {youtube}" if youtube else "it has no youtube_id"
                    self.problems.append((f"{path.name} line {number}", why))
                    continue
                yield Utterance(
                    f"{youtube}_{row.get('audiocap_id') or number}", str(clip), seconds(clip),
                    caption=row.get("caption", ""), split=split, extra={"recording": youtube, "start": start},
                )  # fmt: skip
            self.problems += table.problems


def _by_youtube_id(clips: dict[str, Path]) -> dict[str, Path]:
    """Clips by the 11 characters of their YouTube id, which downloaders write first or after a leading Y."""
    found: dict[str, Path] = {}
    for stem, path in clips.items():
        for start in (0, 1):
            if len(stem) >= start + 11:
                found.setdefault(stem[start : start + 11], path)
    return found
