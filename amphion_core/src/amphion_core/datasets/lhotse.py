"""Lhotse cuts: a manifest of cuts (cuts.jsonl.gz) as a corpus. Needs amphion-core[lhotse]."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.errors import DataError, MissingPackage


class Lhotse(Dataset):
    """Cuts with audio on this disk, with the texts of their supervisions and the first one's speaker."""

    needs_packages = ("lhotse",)

    class Config(BaseConfig):
        """The manifest, and the folder that its paths are relative to."""

        root: str = Field(default=".", description="folder of the relative paths in the manifest")
        cuts: str = Field(default="cuts.jsonl.gz", description="manifest of the cuts, relative to the folder")
        split: str = Field(default="", description="the split of all cuts; empty: none")

    config: Config

    def utterances(self) -> Iterator[Utterance]:
        """Every cut in the order of the manifest. Raises DataError, MissingPackage."""
        try:
            import lhotse
        except ImportError as error:
            raise MissingPackage("reading cuts needs lhotse", hint='pip install "amphion-core[lhotse]"') from error
        root = Path(self.config.root)
        path = root / self.config.cuts
        if not path.is_file():
            raise DataError(f"the manifest {path} does not exist", hint="give cuts=FILE")
        for cut in lhotse.load_manifest_lazy(path):
            source = self._source(cut)
            if source is None:
                self.problems.append((str(cut.id), "it has no audio file on this disk"))
                continue
            first = cut.supervisions[0] if cut.supervisions else None
            yield Utterance(
                str(cut.id), str(root / source), float(cut.duration), float(getattr(cut, "start", 0.0)),
                text=" ".join(filter(None, (one.text for one in cut.supervisions))),
                speaker=(first.speaker or "") if first else "", language=(first.language or "") if first else "",
                split=self.config.split, extra={"recording": str(cut.recording_id)},
            )  # fmt: skip

    @staticmethod
    def _source(cut: Any) -> str | None:
        """The audio file of a simple cut; None for mixed cuts and for audio that is not a file."""
        recording = getattr(cut, "recording", None)
        sources = [source for source in recording.sources if source.type == "file"] if recording else []
        return str(sources[0].source) if len(sources) == 1 else None
