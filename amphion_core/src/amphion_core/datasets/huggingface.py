"""Hugging Face datasets on this disk whose audio is in files. Needs amphion-core[huggingface]."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.datasets.layout import SPLITS, seconds
from amphion_core.errors import DataError, MissingPackage
from amphion_core.files import is_file


class HuggingFace(Dataset):
    """A dataset or a DatasetDict that was saved with save_to_disk; nothing is downloaded.

    Audio inside the tables (as bytes) is not read, because manifests refer to files. Write each row's audio to a file
    first, for example with ``datasets.Audio(decode=False)``.
    """

    needs_packages = ("datasets",)

    class Config(BaseConfig):
        """The folder, and the names of the columns."""

        root: str = Field(default=".", description="folder written by save_to_disk")
        audio: str = Field(default="audio", description="column of the audio")
        text: str = Field(default="text", description="column of the transcript; texts are empty without it")
        speaker: str = Field(default="speaker_id", description="column of the speaker; speakers are empty without it")
        id: str = Field(default="id", description="column of the id; without it: split and row number")

    config: Config

    def utterances(self) -> Iterator[Utterance]:
        """Every row, one split after the other. Raises DataError, MissingPackage."""
        try:
            import datasets
        except ImportError as error:
            raise MissingPackage(
                "reading it needs the package datasets",
                hint='pip install "amphion-core[huggingface]"',
            ) from error
        try:
            found: Any = datasets.load_from_disk(self.config.root)
        except (FileNotFoundError, ValueError) as error:
            raise DataError(f"{self.config.root} is not a dataset: {error}", hint="save it by save_to_disk") from error
        parts = found if isinstance(found, dict) else {"": found}
        for name, part in parts.items():
            if self.config.audio not in part.column_names:
                columns = ", ".join(part.column_names)
                raise DataError(f"there is no column {self.config.audio!r}", hint=f"give audio=COLUMN of {columns}")
            if isinstance(part.features[self.config.audio], datasets.Audio):
                part = part.cast_column(self.config.audio, datasets.Audio(decode=False))
            for number, row in enumerate(part):
                yield from self._row(row, SPLITS.get(name, name), f"{name or 'row'}-{number}")

    def _row(self, row: dict[str, Any], split: str, name: str) -> Iterator[Utterance]:
        audio = row[self.config.audio]
        path = audio.get("path") if isinstance(audio, dict) else audio
        file = Path(self.config.root) / str(path)
        if not path or not is_file(file):
            why = f"there is no such file: {file}" if path else "the audio is inside the table, not in a file"
            self.problems.append((name, why))
            return
        yield Utterance(
            _text(row.get(self.config.id)) or name,
            str(file),
            seconds(file),
            text=_text(row.get(self.config.text)),
            speaker=_text(row.get(self.config.speaker)),
            split=split,
        )


def _text(value: Any) -> str:
    """A cell as text; empty for None. The number 0 may be an id or a speaker."""
    return "" if value is None else str(value)
