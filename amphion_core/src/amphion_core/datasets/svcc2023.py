"""Singing Voice Conversion Challenge 2023: folders of the speakers SF1, SM1, CDF1, CDM1, IDF1, IDM1 with wav files."""

from collections.abc import Iterator

from amphion_core.component import Utterance
from amphion_core.datasets.layout import FolderReader, RootConfig, seconds

_ROLES = {"S": "source", "I": "target, sung", "C": "target, spoken"}


class SVCC2023(FolderReader):
    """English singers: sources, targets of the in-domain task (sung) and of the cross-domain task (spoken)."""

    class Config(RootConfig):
        """The folder that contains the folders of the speakers, or contains Data/ with them."""

    config: Config

    def rows(self) -> Iterator[Utterance]:
        """Every file of every speaker, sorted by path."""
        self.require("IDF1", "IDM1", "CDF1", "CDM1", "SF1", "SM1", "Data/*1")
        for path in self.recordings.files:
            speaker = path.parent.name
            if speaker[-1:] != "1" or speaker[:1] not in _ROLES:
                self.skip(path, "not in the folder of a speaker such as IDF1")
                continue
            gender = "F" if "F" in speaker else "M"
            yield Utterance(
                f"{speaker}_{path.stem}", str(path), seconds(path), speaker=speaker, language="en",
                extra={"role": _ROLES[speaker[0]], "gender": gender},
            )  # fmt: skip
