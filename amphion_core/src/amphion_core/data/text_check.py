"""Do the transcripts of a prepared folder say what is spoken? A metric of audio and text answers for each utterance.

The results lie in ``text_check/`` of the folder, one line of JSON for each utterance, written as they are found. So an
interrupted check continues where it stopped, and a second check looks only at what has changed.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from amphion_core import registry
from amphion_core.audio import Audio
from amphion_core.component import Metric
from amphion_core.data.manifest import Manifest, Record, splits_of
from amphion_core.data.reading import Reader
from amphion_core.errors import DataError
from amphion_core.files import atomic_write, make_folder
from amphion_core.parts import MetricPart

FOLDER = "text_check"
DOUBTFUL = "doubtful.txt"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one utterance. ``value`` is null where the metric is not defined; ``heard`` is what it heard."""

    id: str
    key: str  # what the result depends on: the audio, its span and the text
    value: float | None
    text: str
    heard: str = ""


class TextCheck:
    """Compares every utterance of ``folder`` that has a text with its audio, by the metric of ``part``.

    Raises RecipeError or RegistryError for a metric that cannot be built, DataError for one that does not take a text,
    and for a folder without texts.
    """

    def __init__(self, folder: str | Path, part: MetricPart) -> None:
        self.folder, self.part = Path(folder), part
        self.metric: Metric = part.build()
        if self.metric.of_sets or self.metric.needs != {"text"}:
            raise DataError(
                f"{part.name} does not compare audio with its text", hint="--check-text cer, or wer, alignment_score"
            )
        self.records = [record for split in splits_of(folder) for record in Manifest(folder, split)]
        self.records = [record for record in self.records if record.utterance.text]
        if not self.records:
            raise DataError(
                f"{folder} has no utterance with a text", hint="amphion prepare shows where texts come from"
            )
        self.results = self.folder / FOLDER / f"{part.name}.jsonl"

    def run(self) -> Iterator[tuple[int, int]]:
        """Check what is not checked yet; yields (done, total)."""
        found = self._known()
        todo = [record for record in self.records if found.get(record.utterance.id) != self._key(record)]
        yield len(self.records) - len(todo), len(self.records)
        make_folder(self.results.parent)
        reader = Reader()
        with self.results.open("a", encoding="utf-8") as file:
            for done, record in enumerate(todo, len(self.records) - len(todo) + 1):
                file.write(json.dumps(asdict(self._check(record, reader)), ensure_ascii=False) + "\n")
                file.flush()
                yield done, len(self.records)

    def worst(self) -> list[Checked]:
        """The results of all utterances, the worst first; those for which the metric is not defined before them."""
        valid = {record.utterance.id: self._key(record) for record in self.records}
        found = {one.id: one for one in self._read() if valid.get(one.id) == one.key}
        sign = 1 if self.metric.higher_is_better else -1
        return sorted(found.values(), key=lambda one: -math.inf if one.value is None else sign * one.value)

    def doubtful(self, limit: float) -> list[Checked]:
        """The results that are worse than ``limit``. Their ids are written to ``doubtful.txt`` of the folder."""
        better = self.metric.higher_is_better
        found = [
            one for one in self.worst() if one.value is None or (one.value < limit if better else one.value > limit)
        ]
        with atomic_write(self.folder / DOUBTFUL) as temporary:
            temporary.write_text("".join(f"{one.id}\n" for one in found), encoding="utf-8")
        return found

    def _check(self, record: Record, reader: Reader) -> Checked:
        utterance = record.utterance
        audio = Audio(reader.read(utterance, record.rate).clip(-1, 1), record.rate)
        try:
            score = self.metric.measure(audio.resample(self.metric.sample_rate or record.rate), text=utterance.text)
        except DataError as error:
            return Checked(utterance.id, self._key(record), None, utterance.text, error.message)
        value = round(score.value, 4) if math.isfinite(score.value) else None
        return Checked(utterance.id, self._key(record), value, utterance.text, score.notes.get("heard", ""))

    def _key(self, record: Record) -> str:
        utterance, ref = record.utterance, registry.find("metrics", self.part.name)
        span = [record.digest, utterance.start, utterance.duration, utterance.text]
        return json.dumps([ref.version, self.metric.variant, *span], ensure_ascii=False)

    def _read(self) -> Iterator[Checked]:
        """The stored results; a line that was cut by an interruption is not used."""
        lines = self.results.read_text(encoding="utf-8").splitlines() if self.results.is_file() else []
        for line in lines:
            try:
                yield Checked(**json.loads(line))
            except (ValueError, TypeError):
                continue

    def _known(self) -> dict[str, str]:
        return {one.id: one.key for one in self._read()}
