"""AudioCaps: train.csv, val.csv, test.csv (audiocap_id,youtube_id,start_time,caption) and a folder of clips."""

from collections.abc import Iterator
from pathlib import Path

from amphion_core.component import Utterance
from amphion_core.datasets.layout import SPLITS, FolderReader, RootConfig, audio_files, seconds, table


class AudioCaps(FolderReader):
    """Sounds with captions, ten seconds each. Clips that are no longer to be had are problems, not errors.

    Downloaders name clips in several ways; any file whose name holds the YouTube id is found. Validation and test clips
    have five captions: five utterances of one recording.
    """

    class Config(RootConfig):
        """The folder with the tables and the clips."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """As the tables list them."""
        self.require("train.csv", "val.csv", "test.csv", "dataset/*.csv")
        clips = {path.stem: path for path in audio_files(self.root)}
        ids = _by_youtube_id(clips)
        for path in sorted([*self.root.glob("*.csv"), *self.root.glob("dataset/*.csv")]):
            if (split := SPLITS.get(path.stem)) is None:
                continue
            for number, row in table(path):
                youtube, start = row.get("youtube_id", ""), row.get("start_time", "0")
                clip = clips.get(row.get("audiocap_id", "")) or ids.get(youtube)
                if not youtube or clip is None:
                    self.problems.append((f"{path.name} line {number}", f"no clip of {youtube or 'an empty id'}"))
                    continue
                yield Utterance(
                    f"{youtube}_{row.get('audiocap_id') or number}", str(clip), seconds(clip),
                    caption=row.get("caption", ""), split=split, extra={"recording": youtube, "start": start},
                )  # fmt: skip


def _by_youtube_id(clips: dict[str, Path]) -> dict[str, Path]:
    """Clips by the 11 characters of the id, after a leading Y or before _START, as downloaders write them."""
    found: dict[str, Path] = {}
    for stem, path in clips.items():
        for start in (0, 1):
            if len(stem) >= start + 11:
                found.setdefault(stem[start : start + 11], path)
    return found
