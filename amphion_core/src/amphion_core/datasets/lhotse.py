"""Lhotse cuts: a manifest of cuts (cuts.jsonl.gz) as a corpus. Needs amphion-core[lhotse]."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.errors import DataError, MissingPackage


class Lhotse(Dataset):
    """Cuts with audio on this disk; each supervision's text and speaker are kept."""

    class Config(BaseConfig):
        """The manifest, and the folder its paths are relative to."""

        root: str = Field(default=".", description="folder that relative paths in the manifest are relative to")
        cuts: str = Field(default="cuts.jsonl.gz", description="manifest of the cuts, in the folder or a full path")
        split: str = Field(default="", description="the split of all cuts; empty: none stated")

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
            raise DataError(f"there is no manifest {path}", hint="state it: cuts=FILE")
        for cut in lhotse.load_manifest_lazy(path):
            source = self._source(cut)
            if source is None:
                self.problems.append((str(cut.id), "no audio file on this disk"))
                continue
            said = cut.supervisions[0] if cut.supervisions else None
            yield Utterance(
                str(cut.id), str(root / source), float(cut.duration), float(getattr(cut, "start", 0.0)),
                text=" ".join(filter(None, (one.text for one in cut.supervisions))),
                speaker=(said.speaker or "") if said else "", language=(said.language or "") if said else "",
                split=self.config.split, extra={"recording": str(cut.recording_id)},
            )  # fmt: skip

    @staticmethod
    def _source(cut: Any) -> str | None:
        """The file of a plain cut; None for mixed cuts and audio that is not a file."""
        recording = getattr(cut, "recording", None)
        sources = [source for source in recording.sources if source.type == "file"] if recording else []
        return str(sources[0].source) if len(sources) == 1 else None
