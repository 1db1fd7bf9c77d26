"""An evaluation: systems, metrics, processes, and what can be said of the scores. It goes on where it was stopped."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from functools import partial
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from amphion_core import registry
from amphion_core.api import Audio, BaseConfig, Metric, MetricPart, Score
from amphion_core.config import validate
from amphion_core.data.ray_spread import spread_on_ray
from amphion_core.data.spread import WorkerDied, spread
from amphion_core.errors import DataError
from amphion_core.files import atomic_write
from amphion_eval.analysis.signals import Array
from amphion_eval.evaluation.measuring import Measured, Parts, Shard, built, measure_shard
from amphion_eval.evaluation.pairing import Item
from amphion_eval.evaluation.report import Report
from amphion_eval.evaluation.statistics import compare, holm, interval

SHARD = 4  # items measured, and kept, together; few, so that processes end at about the same time
REFERENCES = "\0references"  # the system whose items are reference files on their own


class Plan(BaseConfig):
    """The metrics of an evaluation, each under the label that its values have in the report."""

    metrics: dict[str, MetricPart]


def plan(names: Iterable[str], settings: Mapping[str, Mapping[str, Any]] | None = None, **shared: Any) -> Parts:
    """Metrics by name, with the ``settings`` of single ones; ``shared`` fields go to those that have them.

    Raises RegistryError for an unknown name, RecipeError for a field or a value that does not exist.
    """
    settings = dict(settings or {})
    fields: dict[str, Any] = {}
    for label in names:
        given = dict(settings.pop(label, {}))
        name = given.pop("name", label)
        known = registry.get("metrics", name).Config.model_fields
        common = {key: value for key, value in shared.items() if key in known and value is not None}
        fields[label] = {"name": name, **common, **given}
    if settings:
        raise DataError(
            f"settings for {', '.join(settings)}, which is not measured", hint=f"metrics are {', '.join(fields)}"
        )
    return tuple(validate(Plan, {"metrics": fields}, where="the metrics").metrics.items())


def evaluate(
    systems: Mapping[str, Sequence[Item]],
    parts: Parts,
    *,
    references: Sequence[Path] | None = None,
    stored: Sequence[dict[str, Any]] = (),
    folder: Path | None = None,
    workers: int = 1,
    ray: bool = False,
    lenient: bool = False,
    tell: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Score every item of every system by every metric, beside the rows ``stored`` of other evaluations.

    Metrics of sets compare with the files ``references``; without, with the items' own references.
    What is done is kept in ``folder``/shards and not done again. ``tell`` is called with items done and in all. With
    ``lenient``, metrics whose package or weights are missing are left out, with a note; otherwise that is an error.
    What fails for one item is a problem of the report. Raises DataError when there is no item.
    """
    if not any(systems.values()) and not stored:
        raise DataError("there is nothing to evaluate")
    if references is None:
        references = [item.reference for items in systems.values() for item in items if item.reference]
    shards = list(_shards(systems, parts, sorted({*references}), lenient))
    total = sum(len(shard.items) for shard in shards)
    with ExitStack() as stack:
        place = folder / "shards" if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        files = {place / f"{_key(shard)}.npz": shard for shard in shards}
        done = 0
        for path in _measured(files, partial(_spread, workers=workers, ray=ray)):
            done += len(files[path].items)
            tell(done, total)
        report = _report(systems, parts, files, stored)
        for path in place.glob("*.npz"):
            if path not in files:
                path.unlink()
    return report


def _shards(
    systems: Mapping[str, Sequence[Item]], parts: Parts, references: Sequence[Path], lenient: bool
) -> Iterator[Shard]:
    for system, items in systems.items():
        for start in range(0, len(items), SHARD):
            yield Shard(system, tuple(items[start : start + SHARD]), parts, lenient)
    of_sets = tuple((label, part) for label, part in parts if (found := _class(part)).of_sets and found.needs)
    for start in range(0, len(references) if of_sets else 0, SHARD):
        items = tuple(Item(str(path), path) for path in references[start : start + SHARD])
        yield Shard(REFERENCES, items, of_sets, lenient)


def _class(part: MetricPart) -> type[Metric]:
    return registry.get("metrics", part.name)


def _key(shard: Shard) -> str:
    """What the shard's results depend on: metrics, versions, names and texts, sizes and times of the files."""
    dists = {ref.dist for ref in registry.refs("metrics")} | {"amphion-core"}
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path and path.is_file() else str(path)
        for item in shard.items
        for path in (item.generated, item.reference, item.prompt, item.resynthesis)
    ]
    about = {
        "system": shard.system,
        "metrics": [[label, part.flat(None)] for label, part in shard.parts],
        "versions": sorted((dist, version(dist)) for dist in dists),
        "items": [[item.id, item.text] for item in shard.items],
        "files": files,
        "installed": sorted(f"{dist.name} {dist.version}" for dist in distributions()) if shard.lenient else None,
    }  # what is left out for want of a package is measured once the package is there
    return hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()[:24]


def _measured(files: Mapping[Path, Shard], run: Callable[[Sequence[Shard]], Iterator[Measured]]) -> Iterator[Path]:
    """The file of each shard, as it is there: from before, or measured now.

    A worker that dies costs nothing but time: what is left is measured again, at last item by item in processes of
    their own, so that only the item that kills its worker has no scores.
    """
    left = []
    for path in files:
        if _read(path) is None:
            left.append(path)
        else:
            yield path
    for _ in range(2):
        try:
            for path, measured in zip(list(left), run([files[path] for path in left]), strict=True):
                _write(path, measured)
                left.remove(path)
                yield path
            return
        except WorkerDied:
            continue
    for path in left:
        _write(path, _one_by_one(files[path]))
        yield path


def _one_by_one(shard: Shard) -> Measured:
    whole = Measured()
    for item in shard.items:
        alone = Shard(shard.system, (item,), shard.parts, shard.lenient)
        try:
            part = next(spread(measure_shard, [alone], 2))
        except WorkerDied:
            reason = "the worker process that measured it died, perhaps for want of memory"
            problems = dict.fromkeys((label for label, _ in shard.parts), reason)
            row = {"id": item.id, "generated": str(item.generated), "problems": problems}
            part = Measured([{"system": shard.system, **row}])
        part.arrays = {(label, len(whole.rows), name): array for (label, _, name), array in part.arrays.items()}
        whole.rows += part.rows
        whole.arrays |= part.arrays
        whole.unavailable |= part.unavailable
    return whole


def _spread(shards: Sequence[Shard], *, workers: int, ray: bool) -> Iterator[Measured]:
    return spread_on_ray(measure_shard, shards) if ray else spread(measure_shard, shards, workers)


def _write(path: Path, measured: Measured) -> None:
    rows = json.dumps({"rows": measured.rows, "unavailable": measured.unavailable})
    arrays = {"/".join((label, str(row), name)): array for (label, row, name), array in measured.arrays.items()}
    with atomic_write(path) as temporary:
        everything: dict[str, Any] = {"rows": np.frombuffer(rows.encode(), np.uint8), **arrays}
        np.savez(temporary, **everything)


def _read(path: Path) -> dict[str, Any] | None:
    """Rows and what was unavailable; None for a file that is not there, or not whole."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found: dict[str, Any] = json.loads(stored["rows"].tobytes())
            return found
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _arrays(path: Path, label: str) -> Iterator[tuple[int, str, Array]]:
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            if key.startswith(f"{label}/"):
                _, row, name = key.rsplit("/", 2)
                yield int(row), name, stored[key]


class StoredMetric(Metric):
    """A score that was computed elsewhere."""

    class Config(BaseConfig):
        """Nothing is known of it."""

    config: Config
    unit = ""
    higher_is_better = None

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """It cannot be computed here. Raises DataError."""
        raise DataError("this score was computed elsewhere")


def _report(
    systems: Mapping[str, Sequence[Item]], parts: Parts, files: Mapping[Path, Shard], others: Sequence[dict[str, Any]]
) -> Report:
    rows: list[dict[str, Any]] = []
    lost: list[str] = []
    unavailable: dict[str, str] = {}
    for path, shard in files.items():
        stored = _read(path)
        assert stored is not None
        unavailable |= stored["unavailable"]
        if shard.system != REFERENCES:
            rows += stored["rows"]
        else:
            lost += [f"{row['id']}: {why}" for row in stored["rows"] for why in {*row["problems"].values()}]
    report = Report(rows=[*rows, *others], missing={"references": lost} if lost else {})
    for label, metric in built(parts).items():
        if label in unavailable:
            report.unavailable[label] = unavailable[label]
            continue
        report.metrics[label] = _about(metric, dict(parts)[label])
        if metric.of_sets:
            _compare_sets(report, label, metric, systems, files)
        else:
            _compare_items(report, label, metric)
    for label in dict.fromkeys(label for row in others for label in row["scores"] if label not in report.metrics):
        known = label in registry.names("metrics") and not registry.get("metrics", label).of_sets
        part = MetricPart.named(label) if known else None
        metric = part.build() if part else StoredMetric(StoredMetric.Config())
        report.metrics[label] = _about(metric, part) | {"variant": "stored"}
        _compare_items(report, label, metric)
    corrected = holm([row["p"] for row in report.comparisons])
    for row, p in zip(report.comparisons, corrected):
        row["p_corrected"] = p
    report.about = {
        "created": date.today().isoformat(),
        "versions": {dist: version(dist) for dist in ("amphion-core", "amphion-eval")},
        "interval": "95 % bootstrap over files; of metrics of sets, a jackknife",
        "comparison": "paired permutation of files, corrected after Holm",
    }
    return report


def _about(metric: Metric, part: MetricPart | None) -> dict[str, Any]:
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


def _compare_items(report: Report, label: str, metric: Metric) -> None:
    systems = dict.fromkeys(row["system"] for row in report.rows)
    scores: dict[str, dict[str, Score]] = {system: {} for system in systems}
    counts = dict.fromkeys(systems, 0)
    scored = [row for row in report.rows if label in row.get("scores", {})]
    details = [row["details"].get(label, {}) for row in scored]
    common = set.intersection(*map(set, details)) if details else set()
    if not common and type(metric).combine is not Metric.combine:  # stored values alone: their mean is all there is
        metric = StoredMetric(StoredMetric.Config())
    for row in report.rows:
        counts[row["system"]] += 1
    for row, numbers in zip(scored, details):
        kept = {key: numbers[key] for key in sorted(common)}
        scores[row["system"]][row["id"]] = Score(row["scores"][label], kept)
    for system, found in scores.items():
        report.summary.setdefault(system, {})[label] = _summary(metric, [*found.values()], counts[system])
    if report.metrics[label]["higher_is_better"] is None:
        return
    names = list(systems)
    for place, a in enumerate(names):
        for b in names[place + 1 :]:
            both = [id for id in scores[a] if id in scores[b]]
            both = [id for id in both if np.isfinite([scores[a][id].value, scores[b][id].value]).all()]
            if len(both) < 2:
                continue
            difference, span, p = compare(metric, [scores[a][id] for id in both], [scores[b][id] for id in both])
            report.comparisons.append(
                {"metric": label, "a": a, "b": b, "difference": difference, "interval_95": span, "p": p, "n": len(both)}
            )


def _compare_sets(
    report: Report, label: str, metric: Metric, systems: Mapping[str, Sequence[Item]], files: Mapping[Path, Shard]
) -> None:
    found: dict[str, list[Score]] = {system: [] for system in (*systems, REFERENCES)}
    for path, shard in files.items():
        arrays: dict[int, dict[str, Array]] = {}
        for row, name, array in _arrays(path, label):
            arrays.setdefault(row, {})[name] = array
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
