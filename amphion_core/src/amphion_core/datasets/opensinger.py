"""OpenSinger: ManRaw/SINGER_SONG/SINGER_SONG_N.wav and WomanRaw/..., each with a .txt of its lyrics."""

from collections.abc import Iterator

from amphion_core.audio_files import audio_files
from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds


class OpenSinger(FolderReader):
    """About 66 amateur singers: Chinese songs in Mandarin, cut into lines."""

    class Config(RootConfig):
        """The folder that contains ManRaw/ and WomanRaw/."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every line, sorted by path."""
        self.require("ManRaw", "WomanRaw")
        for gender, folder in (("M", "ManRaw"), ("F", "WomanRaw")):
            for path in audio_files(self.root / folder) if (self.root / folder).is_dir() else ():
                singer, _, song = path.parent.name.partition("_")
                yield Utterance(
                    f"{folder}_{path.stem}", str(path), seconds(path), text=self.text_of(path.with_suffix(".txt")),
                    speaker=f"{folder}_{singer}", language="zh",
                    extra={"gender": gender, "song": song, "recording": f"{folder}_{path.parent.name}"},
                )  # fmt: skip
