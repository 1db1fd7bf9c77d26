"""Measure one shard of an evaluation: a few items by every metric, in any process. Files are read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from amphion_core.api import Audio, Metric, MetricPart, Score
from amphion_core.errors import AmphionError, DataError, MissingPackage, WeightsError
from amphion_eval.analysis.signals import Array
from amphion_eval.evaluation.pairing import ROLES, Item

MAX_DIFFERENCE = 0.05  # relative difference of durations above which the row gets a warning
Parts = tuple[tuple[str, MetricPart], ...]


@dataclass(frozen=True, slots=True)
class Shard:
    """Items of one system, or reference files without partners, and the metrics (label, part) that measure them."""

    system: str
    items: tuple[Item, ...]
    parts: Parts
    lenient: bool = False  # skip a metric whose package or weights are missing, instead of raising an error


@dataclass(slots=True)
class Measured:
    """The results of one shard.

    ``rows``: one dict of plain data per item. ``arrays``: (label, row number, name) -> array, the descriptions of items
    that metrics of whole sets compare. ``unavailable``: label -> why a metric was skipped. ``seconds``: label -> how
    long the metric took, its audio and networks included.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[tuple[str, int, str], Array] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def measure_shard(shard: Shard) -> Measured:
    """Measure every item of a shard. A failure that concerns one item alone is stored in its row.

    Raises MissingPackage and WeightsError unless the shard is lenient.
    """
    measured = Measured()
    metrics = build_metrics(shard.parts)
    for number, item in enumerate(shard.items):
        row, scores = _measure(item, metrics, measured, shard.lenient)
        measured.rows.append({"system": shard.system, **row})
        for label, score in scores.items():
            measured.arrays.update({(label, number, name): array for name, array in score.arrays.items()})
    return measured


@lru_cache(maxsize=4)
def build_metrics(parts: Parts) -> dict[str, Metric]:
    """The metrics by label. They are kept, so a process loads their networks once."""
    return {label: part.build() for label, part in parts}


class _ItemAudio:
    """The audio files of one item: each is read once, and resampled once per rate."""

    def __init__(self, item: Item) -> None:
        self._paths: dict[str, Path | None] = {role: getattr(item, role) for role in ("generated", *ROLES)}
        self._read: dict[str, Audio | str] = {}
        self._resampled: dict[tuple[str, int], Audio] = {}
        self.warnings: list[str] = []

    def at(self, role: str, rate: int | None) -> Audio:
        """The audio of a role, mono, at ``rate`` or the rate of the file. Raises DataError if it cannot be read."""
        audio = self._load(role)
        key = role, rate or audio.sample_rate
        if key not in self._resampled:
            self._resampled[key] = audio.resample(key[1])
        return self._resampled[key]

    def read(self) -> dict[str, Audio]:
        """The audios that were read, by role."""
        return {role: audio for role, audio in self._read.items() if isinstance(audio, Audio)}

    def _load(self, role: str) -> Audio:
        path = self._paths[role]
        if path is None:
            raise DataError(f"the item has no {role}")
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
    item: Item, metrics: Mapping[str, Metric], measured: Measured, lenient: bool
) -> tuple[dict[str, Any], dict[str, Score]]:
    audios = _ItemAudio(item)
    scores: dict[str, Score] = {}
    problems: dict[str, str] = {}
    for label, metric in metrics.items():
        if label in measured.unavailable:
            continue
        start = perf_counter()
        try:
            score = _score(metric, item, audios)
            if np.isnan(score.value) and not metric.of_sets:
                raise DataError("the metric is not defined for this item")
            scores[label] = score
        except (MissingPackage, WeightsError) as error:
            if not lenient:
                raise
            measured.unavailable[label] = "; ".join(filter(None, (error.message, error.hint)))
        except AmphionError as error:
            problems[label] = error.message
        except Exception as error:  # one bad file must cost one score, not the whole run
            problems[label] = f"unexpected {type(error).__name__}: {error}"
        measured.seconds[label] = measured.seconds.get(label, 0.0) + perf_counter() - start
    return _row(item, audios, scores, problems), scores


def _score(metric: Metric, item: Item, audios: _ItemAudio) -> Score:
    role = next(iter(metric.needs - {"text"}), None)
    if "text" in metric.needs and item.text is None:
        raise DataError("the item has no text")
    generated = audios.at("generated", metric.sample_rate)
    other = audios.at(role, generated.sample_rate) if role and not metric.of_sets else None
    return metric.measure(generated, other, text=item.text)


def _row(item: Item, audios: _ItemAudio, scores: Mapping[str, Score], problems: dict[str, str]) -> dict[str, Any]:
    read = audios.read()
    durations = {role: round(audio.duration, 6) for role, audio in read.items()}
    warnings = list(audios.warnings)
    if {"generated", "reference"} <= durations.keys():
        generated, reference = durations["generated"], durations["reference"]
        if abs(generated - reference) > MAX_DIFFERENCE * reference:
            warnings.append(f"the generated audio lasts {generated:.2f} s, its reference {reference:.2f} s")
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
