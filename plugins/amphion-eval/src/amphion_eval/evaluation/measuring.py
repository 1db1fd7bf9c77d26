"""One shard of an evaluation: every metric of a few items, wherever it runs. Files are read and resampled once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.api import Audio, Metric, MetricPart, Score
from amphion_core.errors import AmphionError, DataError, MissingPackage, WeightsError
from amphion_eval.analysis.signals import Array
from amphion_eval.evaluation.pairing import ROLES, Item

UNEQUAL = 0.05  # difference of lengths from which a row is warned of
Parts = tuple[tuple[str, MetricPart], ...]


@dataclass(frozen=True, slots=True)
class Shard:
    """Items of one system, or reference files on their own, and the metrics (label, part) to measure them by."""

    system: str
    items: tuple[Item, ...]
    parts: Parts
    lenient: bool = False  # a metric whose package or weights are missing is left out, not an error


@dataclass(slots=True)
class Measured:
    """``rows``: a dict an item, plain data; ``arrays``: (label, row, name) of what sets are compared by."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[tuple[str, int, str], Array] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)


def measure_shard(shard: Shard) -> Measured:
    """Raises MissingPackage and WeightsError unless the shard is lenient. What fails for one item is in its row."""
    measured = Measured()
    metrics = dict(built(shard.parts))
    for number, item in enumerate(shard.items):
        row, scores = _measure(item, metrics, measured.unavailable, shard.lenient)
        measured.rows.append({"system": shard.system, **row})
        for label, score in scores.items():
            measured.arrays.update({(label, number, name): array for name, array in score.arrays.items()})
    return measured


@lru_cache(maxsize=4)
def built(parts: Parts) -> dict[str, Metric]:
    """The metrics by label; they keep their networks as long as the process lives."""
    return {label: part.build() for label, part in parts}


class _Voices:
    """The audios of one item, each read once and resampled once a rate. What cannot be read says so when asked for."""

    def __init__(self, item: Item) -> None:
        self._paths: dict[str, Path | None] = {role: getattr(item, role) for role in ("generated", *ROLES)}
        self._read: dict[str, Audio | str] = {}
        self._at: dict[tuple[str, int], Audio] = {}
        self.warnings: list[str] = []

    def at(self, role: str, rate: int | None) -> Audio:
        """Mono, at ``rate`` or its own. Raises DataError."""
        audio = self._load(role)
        key = role, rate or audio.sample_rate
        if key not in self._at:
            self._at[key] = audio.resample(key[1])
        return self._at[key]

    def read(self) -> dict[str, Audio]:
        """What was read, by role."""
        return {role: audio for role, audio in self._read.items() if isinstance(audio, Audio)}

    def _load(self, role: str) -> Audio:
        path = self._paths[role]
        if path is None:
            raise DataError(f"no {role}")
        if role not in self._read:
            try:
                audio = Audio.load(path)
                if audio.samples.ndim > 1:
                    self.warnings.append(f"the {role} audio has {len(audio.samples)} channels: their mean is measured")
                self._read[role] = audio.mono()
            except AmphionError as error:
                self._read[role] = error.message
        found = self._read[role]
        if isinstance(found, str):
            raise DataError(found)
        return found


def _measure(
    item: Item, metrics: Mapping[str, Metric], unavailable: dict[str, str], lenient: bool
) -> tuple[dict[str, Any], dict[str, Score]]:
    audios = _Voices(item)
    scores: dict[str, Score] = {}
    problems: dict[str, str] = {}
    for label, metric in metrics.items():
        if label in unavailable:
            continue
        try:
            score = _score(metric, item, audios)
            if np.isnan(score.value) and not metric.of_sets:
                raise DataError("the metric is not defined for it")
            scores[label] = score
        except (MissingPackage, WeightsError) as error:
            if not lenient:
                raise
            unavailable[label] = "; ".join(filter(None, (error.message, error.hint)))
        except AmphionError as error:
            problems[label] = error.message
        except Exception as error:  # one bad file costs one score, not the run
            problems[label] = f"unexpected {type(error).__name__}: {error}"
    return _row(item, audios, scores, problems), scores


def _score(metric: Metric, item: Item, audios: _Voices) -> Score:
    role = next(iter(metric.needs - {"text"}), None)
    if "text" in metric.needs and item.text is None:
        raise DataError("no text")
    generated = audios.at("generated", metric.sample_rate)
    other = audios.at(role, generated.sample_rate) if role and not metric.of_sets else None
    return metric.measure(generated, other, text=item.text)


def _row(item: Item, audios: _Voices, scores: Mapping[str, Score], problems: dict[str, str]) -> dict[str, Any]:
    read = audios.read()
    durations = {role: round(audio.duration, 6) for role, audio in read.items()}
    warnings = list(audios.warnings)
    if {"generated", "reference"} <= durations.keys():
        made, wanted = durations["generated"], durations["reference"]
        if abs(made - wanted) > UNEQUAL * wanted:
            warnings.append(f"{made:.2f} s generated for a reference of {wanted:.2f} s")
    notes = {key: text for score in scores.values() for key, text in score.notes.items()}
    return {
        "id": item.id,
        **{role: str(path) if (path := getattr(item, role)) else None for role in ("generated", *ROLES)},
        "text": item.text,
        "heard": notes.get("heard"),
        "durations": durations,
        "rates": {role: audio.sample_rate for role, audio in read.items()},
        "scores": {label: score.value for label, score in scores.items() if not np.isnan(score.value)},
        "details": {label: dict(score.details) for label, score in scores.items() if score.details},
        "problems": problems,
        "warnings": warnings,
    }
