"""Evaluate systems by metrics: cut the work into shards, measure them in processes, build the report.

Finished shards are stored, so a stopped evaluation continues where it stopped.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from amphion_core import registry
from amphion_core.api import BaseConfig, MetricPart
from amphion_core.config import checked_call, validate
from amphion_core.errors import DataError
from amphion_core.files import make_folder
from amphion_core.system_errors import clear_errors
from amphion_eval.evaluation.measuring import Parts, Shard
from amphion_eval.evaluation.pairing import Item
from amphion_eval.evaluation.report import Report
from amphion_eval.evaluation.shards import measure_missing, shard_key, spread_shards
from amphion_eval.evaluation.summary import REFERENCES, build_report

SHARD = 4  # items in a shard; few, so that all processes finish at about the same time


class Plan(BaseConfig):
    """The metrics of an evaluation, by the label that each has in the report."""

    metrics: dict[str, MetricPart]


@checked_call
def plan(names: Iterable[str], settings: Mapping[str, Mapping[str, Any]] | None = None, **shared: Any) -> Parts:
    """Choose metrics by name and check their configurations.

    ``settings`` holds the configuration of single metrics, by label. A label may differ from the metric's name if its
    settings contain ``name``, so that one metric can be measured twice. ``shared`` fields go to every metric that has
    such a field. Raises RegistryError for an unknown name, RecipeError for an unknown field or a wrong value, DataError
    for settings of a metric that is not in ``names``.
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
            f"there are settings for {', '.join(settings)}, which is not measured",
            hint=f"add it to --metrics; the metrics are {', '.join(fields)}",
        )
    return tuple(validate(Plan, {"metrics": fields}, where="the metrics").metrics.items())


@clear_errors
@checked_call
def evaluate(
    systems: Mapping[str, Sequence[Item]],
    parts: Parts,
    *,
    references: Sequence[Path] | None = None,
    stored: Sequence[dict[str, Any]] = (),
    folder: Path | None = None,
    workers: Annotated[int, Field(ge=1, le=1024)] = 1,
    ray: bool = False,
    lenient: bool = False,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Score every item of every system by every metric.

    * ``references``: the files that metrics of whole sets compare with; by default the references of the items.
    * ``stored``: rows of other evaluations, which the report shows beside the new ones.
    * ``folder``: finished shards are kept in ``folder``/shards and are not measured again.
    * ``workers``: number of processes; with ``ray`` the shards go to a Ray cluster instead.
    * ``lenient``: a metric whose package or weights are missing is skipped with a note; otherwise it is an error.
    * ``on_progress``: called with the number of finished items and of all items.

    A failure that concerns one item alone is listed as a problem in the report. Raises DataError without any item.
    """
    if not any(systems.values()) and not stored:
        raise DataError("there is nothing to evaluate", hint="amphion eval FOLDER --ref RECORDINGS")
    if references is None:
        references = [item.reference for items in systems.values() for item in items if item.reference]
    shards = list(_cut(systems, parts, sorted({*references}), lenient))
    total = sum(len(shard.items) for shard in shards)
    with ExitStack() as stack:
        results = folder / "shards" if folder else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_folder(results)
        files = {results / f"{shard_key(shard)}.npz": shard for shard in shards}
        done = 0
        for path in measure_missing(files, partial(spread_shards, workers=workers, ray=ray)):
            done += len(files[path].items)
            on_progress(done, total)
        report = build_report(systems, parts, files, stored)
        for path in results.glob("*.npz"):
            if path not in files:
                path.unlink()
    return report


def _cut(
    systems: Mapping[str, Sequence[Item]], parts: Parts, references: Sequence[Path], lenient: bool
) -> Iterator[Shard]:
    """Shards of every system, and of the reference files that metrics of whole sets need."""
    for system, items in systems.items():
        for start in range(0, len(items), SHARD):
            yield Shard(system, tuple(items[start : start + SHARD]), parts, lenient)
    for_references = tuple((label, part) for label, part in parts if _describes_references(part))
    for start in range(0, len(references) if for_references else 0, SHARD):
        items = tuple(Item(str(path), path) for path in references[start : start + SHARD])
        yield Shard(REFERENCES, items, for_references, lenient)


def _describes_references(part: MetricPart) -> bool:
    metric = registry.get("metrics", part.name)
    return bool(metric.of_sets and metric.needs)
