"""Metrics over sets of files: every item is scored or has a reason why not, and no NaN enters a mean."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.api import Audio, Metric, Score
from amphion_core.config import validate
from amphion_core.errors import AmphionError, DataError

AUDIO = frozenset({".wav", ".flac", ".ogg", ".mp3"})
DRAWS = 2000  # bootstrap samples


@dataclass(frozen=True, slots=True)
class Item:
    """One generated file, and what it is compared with."""

    id: str
    generated: Path
    reference: Path | None = None
    text: str | None = None


@dataclass(slots=True)
class Report:
    """All scores: ``rows`` are one dict an item, ``summary`` one dict a metric, ``problems`` one line a failure."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def evaluate(
    items: Iterable[Item], metrics: Sequence[str], *, tell: Callable[[], object] = lambda: None, **fields: Any
) -> Report:
    """Score every item by every metric named; ``fields`` go to the metrics that have them, ``tell`` is called an item.

    Raises RegistryError for an unknown metric, DataError when there is no item. What fails for one item is a problem of
    the report, not an error.
    """
    built = {name: _build(name, fields) for name in metrics}
    scores: dict[str, list[Score]] = {name: [] for name in built}
    report = Report()
    for item in items:
        row: dict[str, Any] = {"id": item.id, "generated": str(item.generated)}
        for name, value in _measure(item, built):
            if isinstance(value, Score):
                scores[name].append(value)
                row[name] = value.value if np.isfinite(value.value) else str(value.value)
            else:
                report.problems.append(f"{item.id}: {name}: {value}")
                row.setdefault("problems", {})[name] = value
        report.rows.append(row)
        tell()
    if not report.rows:
        raise DataError("there is nothing to evaluate")
    for name, metric in built.items():
        report.summary[name] = _summary(metric, scores[name], len(report.rows))
    return report


def pair_folders(
    generated: Path, reference: Path | None = None, texts: dict[str, str] | None = None
) -> tuple[list[Item], list[str]]:
    """Files of two folders (or two files) by their relative path without suffix, and a line for each missing partner.

    Raises DataError: no such folder, no audio in it, nothing in common.
    """
    made = _files(generated)
    compared = _files(reference) if reference else {}
    if generated.is_file() and reference and reference.is_file():
        compared = dict.fromkeys(made, reference)
    missing = [f"{name}: no reference" for name in made if reference and name not in compared]
    missing += [f"{name}: no generated file" for name in compared if name not in made]
    missing += [f"{name}: no text" for name in made if texts is not None and name not in texts]
    missing += [f"{name}: text without a generated file" for name in texts or {} if name not in made]
    items = [Item(name, path, compared.get(name), (texts or {}).get(name)) for name, path in made.items()]
    if reference and not any(item.reference for item in items):
        raise DataError(
            f"no file of {generated} has a partner in {reference}", hint="partners share their name without suffix"
        )
    return items, missing


def _files(place: Path) -> dict[str, Path]:
    if place.is_file():
        return {place.stem: place}
    if not place.is_dir():
        raise DataError(f"there is no file or folder {place}", hint="give a folder of audio files")
    found = {
        str(path.relative_to(place).with_suffix("")): path
        for path in sorted(place.rglob("*"))
        if path.suffix.lower() in AUDIO
    }
    if not found:
        raise DataError(f"{place} holds no audio file", hint=f"known suffixes: {', '.join(sorted(AUDIO))}")
    return found


def _build(name: str, fields: dict[str, Any]) -> Metric:
    metric = registry.get("metrics", name)
    known = {key: value for key, value in fields.items() if key in metric.Config.model_fields and value is not None}
    built: Metric = metric(validate(metric.Config, known, where=f"metric {name}"))
    return built


def _measure(item: Item, metrics: dict[str, Metric]) -> Iterator[tuple[str, Score | str]]:
    """Each metric's score, or the reason why there is none. A file is read once."""
    try:
        generated = Audio.load(item.generated).mono()
        reference = Audio.load(item.reference).mono() if item.reference else None
    except AmphionError as error:
        yield from ((name, error.message) for name in metrics)
        return
    for name, metric in metrics.items():
        if "reference" in metric.needs and reference is None:
            yield name, "no reference"
            continue
        if "text" in metric.needs and item.text is None:
            yield name, "no text"
            continue
        rate = metric.sample_rate or generated.sample_rate
        try:
            score = metric.measure(
                generated.resample(rate), reference.resample(rate) if reference else None, text=item.text
            )
            yield name, score if not np.isnan(score.value) else "the metric is not defined for it"
        except DataError as error:
            yield name, error.message


def _summary(metric: Metric, scores: list[Score], count: int) -> dict[str, Any]:
    values = [score.value for score in scores if np.isfinite(score.value)]
    about = {
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "n": len(scores),
        "failed": count - len(scores),
    }
    if not values:
        return about
    random = np.random.default_rng(0)  # the same files give the same interval
    picks = random.integers(len(values), size=(DRAWS, len(values)))
    finite = [score for score in scores if np.isfinite(score.value)]
    draws = [metric.aggregate([finite[place] for place in pick]).value for pick in picks]
    low, high = np.percentile(draws, [2.5, 97.5])
    return about | {
        "value": metric.aggregate(finite).value,
        "interval_95": [float(low), float(high)],
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "infinite": len(scores) - len(values),
    }
