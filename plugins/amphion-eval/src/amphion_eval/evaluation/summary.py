"""The report of an evaluation: values of each system with intervals, and comparisons of systems."""

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.api import Audio, BaseConfig, Metric, MetricPart, Score
from amphion_core.errors import DataError
from amphion_eval.evaluation.measuring import Parts, Shard, build_metrics
from amphion_eval.evaluation.pairing import Item
from amphion_eval.evaluation.report import Report
from amphion_eval.evaluation.shards import read_arrays, read_rows
from amphion_eval.evaluation.statistics import compare, holm, interval

REFERENCES = "\0references"  # the system name of shards whose items are reference files


class StoredMetric(Metric):
    """A score that another program computed."""

    class Config(BaseConfig):
        """Empty: nothing is known about the definition."""

    config: Config
    unit = ""
    higher_is_better = None

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Always raises DataError: the score cannot be computed here."""
        raise DataError("this score was computed by another program", hint="amphion list metrics")


def build_report(
    systems: Mapping[str, Sequence[Item]], parts: Parts, files: Mapping[Path, Shard], others: Sequence[dict[str, Any]]
) -> Report:
    """The report of measured shards (``files``: path of the results -> shard) and the rows of ``others``."""
    rows: list[dict[str, Any]] = []
    unusable: list[str] = []
    unavailable: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for path, shard in files.items():
        stored = read_rows(path)
        assert stored is not None
        unavailable |= stored["unavailable"]
        for label, taken in stored["seconds"].items():
            seconds[label] = seconds.get(label, 0.0) + taken
        if shard.system != REFERENCES:
            rows += stored["rows"]
        else:
            unusable += [f"{row['id']}: {why}" for row in stored["rows"] for why in {*row["problems"].values()}]
    report = Report(rows=[*rows, *others], missing={"references": unusable} if unusable else {})
    for label, metric in build_metrics(parts).items():
        if label in unavailable:
            report.unavailable[label] = unavailable[label]
            continue
        report.metrics[label] = _describe(metric, dict(parts)[label])
        if metric.of_sets:
            _add_sets(report, label, metric, systems, files)
        else:
            _add_items(report, label, metric)
    for label in dict.fromkeys(label for row in others for label in row["scores"] if label not in report.metrics):
        known = label in registry.names("metrics") and not registry.get("metrics", label).of_sets
        part = MetricPart.named(label) if known else None
        metric = part.build() if part else StoredMetric(StoredMetric.Config())
        report.metrics[label] = _describe(metric, part) | {"variant": "stored"}
        _add_items(report, label, metric)
    corrected = holm([row["p"] for row in report.comparisons])
    for row, p in zip(report.comparisons, corrected):
        row["p_corrected"] = p
    report.about = {
        "seconds": {label: round(taken, 3) for label, taken in sorted(seconds.items(), key=lambda each: -each[1])},
        "created": date.today().isoformat(),
        "versions": {dist: version(dist) for dist in ("amphion-core", "amphion-eval")},
        "interval": "95 % bootstrap over files; for metrics of whole sets, a jackknife",
        "comparison": "paired permutation of files, with Holm's correction",
    }
    return report


def _describe(metric: Metric, part: MetricPart | None) -> dict[str, Any]:
    flat = part.flat(None) if part else "stored"
    return {
        "name": part.name if part else "stored",
        "variant": metric.variant,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "definition": (type(metric).__doc__ or "").strip().splitlines()[0],
        "library": metric.library,
        "sample_rate": metric.sample_rate,
        "config": flat if isinstance(flat, dict) else {"name": flat},
    }


def _add_items(report: Report, label: str, metric: Metric) -> None:
    """Add the values of a metric of single items: one per system, and a comparison per pair of systems."""
    systems = dict.fromkeys(row["system"] for row in report.rows)
    scores: dict[str, dict[str, Score]] = {system: {} for system in systems}
    counts = dict.fromkeys(systems, 0)
    scored = [row for row in report.rows if label in row.get("scores", {})]
    details = [row["details"].get(label, {}) for row in scored]
    common = set.intersection(*map(set, details)) if details else set()
    if not common and type(metric).combine is not Metric.combine:  # stored values have no details to combine
        metric = StoredMetric(StoredMetric.Config())  # so the mean of the values is all that can be computed
    for row in report.rows:
        counts[row["system"]] += 1
    for row, numbers in zip(scored, details):
        kept = {key: numbers[key] for key in sorted(common)}
        scores[row["system"]][row["id"]] = Score(row["scores"][label], kept)
    for system, found in scores.items():
        report.summary.setdefault(system, {})[label] = _summary(metric, [*found.values()], counts[system])
    if report.metrics[label]["higher_is_better"] is None:
        return
    for a, b in combinations(systems, 2):
        both = [id for id in scores[a] if id in scores[b]]
        both = [id for id in both if np.isfinite([scores[a][id].value, scores[b][id].value]).all()]
        if len(both) < 2:
            continue
        difference, span, p = compare(metric, [scores[a][id] for id in both], [scores[b][id] for id in both])
        report.comparisons.append(
            {"metric": label, "a": a, "b": b, "difference": difference, "interval_95": span, "p": p, "n": len(both)}
        )


def _add_sets(
    report: Report, label: str, metric: Metric, systems: Mapping[str, Sequence[Item]], files: Mapping[Path, Shard]
) -> None:
    """Add the values of a metric of whole sets, one per system."""
    found: dict[str, list[Score]] = {system: [] for system in (*systems, REFERENCES)}
    for path, shard in files.items():
        arrays = read_arrays(path, label)
        found[shard.system] += [Score(float("nan"), arrays=arrays[row]) for row in sorted(arrays)]
    for system, items in systems.items():
        about: dict[str, Any] = {"n": len(found[system]), "failed": len(items) - len(found[system]), "infinite": 0}
        try:
            value = metric.aggregate(found[system], found[REFERENCES])
            span = interval(metric, found[system], found[REFERENCES])
            about |= {"value": value.value, "interval_95": span, "details": dict(value.details)}
        except DataError as error:
            about["reason"] = error.message
        report.summary.setdefault(system, {})[label] = about
    for system in {row["system"] for row in report.rows} - {*systems}:
        report.summary.setdefault(system, {})[label] = {"n": 0, "failed": 0, "infinite": 0}


def _summary(metric: Metric, scores: list[Score], count: int) -> dict[str, Any]:
    """The values of one system's ``scores`` of ``count`` items."""
    finite = [score for score in scores if np.isfinite(score.value)]
    about: dict[str, Any] = {
        "n": len(scores),
        "failed": count - len(scores),
        "infinite": len(scores) - len(finite),
    }
    if not finite:
        return about
    values = np.array([score.value for score in finite])
    whole = metric.aggregate(finite)
    return about | {
        "value": whole.value,
        "interval_95": interval(metric, finite),
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "details": dict(whole.details),
    }
