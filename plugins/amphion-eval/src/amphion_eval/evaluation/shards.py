"""Results of shards on disk: each file is named by everything that the results depend on, so a stale one is not read.

A worker process that dies costs one score at most: the missing shards are measured again.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.data.ray_spread import spread_on_ray
from amphion_core.data.spread import WorkerDied, spread
from amphion_core.errors import AmphionError
from amphion_core.files import atomic_write
from amphion_eval.analysis.signals import Array
from amphion_eval.evaluation.measuring import Measured, Shard, build_metrics, measure_shard

ATTEMPTS = 2  # times that all missing shards are spread over processes, before they are measured item by item


def shard_key(shard: Shard) -> str:
    """Digest of what the results depend on: metrics, versions, names, texts, sizes and times of the files."""
    dists = {ref.dist for ref in registry.refs("metrics")} | {"amphion-core"}
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) if path and path.is_file() else str(path)
        for item in shard.items
        for path in (item.generated, item.reference, item.prompt, item.resynthesis)
    ]
    about = {
        "system": shard.system,
        "metrics": [[label, part.flat(None), _variant(shard, label)] for label, part in shard.parts],
        "versions": sorted((dist, version(dist)) for dist in dists),
        "items": [[item.id, item.text] for item in shard.items],
        "files": files,
        "installed": sorted(f"{dist.name} {dist.version}" for dist in distributions()) if shard.lenient else None,
    }  # a metric that is skipped because a package is missing is measured once the package is installed
    return hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()[:24]


def _variant(shard: Shard, label: str) -> str | None:
    """What a metric's values depend on apart from its configuration, such as the package that it finds installed.

    None for a metric that cannot be used; raises the reason unless the shard is lenient.
    """
    try:
        return build_metrics(shard.parts)[label].variant
    except AmphionError:
        if not shard.lenient:
            raise
        return None


def measure_missing(
    files: Mapping[Path, Shard], spread_over: Callable[[Sequence[Shard]], Iterator[Measured]]
) -> Iterator[Path]:
    """Measure the shards whose file is missing or damaged; yields the path of each shard once its file is complete.

    If a worker process dies, the shards without a file are measured again, at last item by item, each in a separate
    process. Only an item that kills its process then has no scores.
    """
    missing = []
    for path in files:
        if read_rows(path) is None:
            missing.append(path)
        else:
            yield path
    for _ in range(ATTEMPTS):
        try:
            for path, measured in zip(list(missing), spread_over([files[path] for path in missing]), strict=True):
                _write(path, measured)
                missing.remove(path)
                yield path
            return
        except WorkerDied:
            continue
    for path in missing:
        _write(path, _item_by_item(files[path]))
        yield path


def spread_shards(shards: Sequence[Shard], *, workers: int, ray: bool) -> Iterator[Measured]:
    """Measure shards in ``workers`` processes, or on a Ray cluster. Raises WorkerDied."""
    return spread_on_ray(measure_shard, shards) if ray else spread(measure_shard, shards, workers)


def read_rows(path: Path) -> dict[str, Any] | None:
    """``rows``, ``unavailable`` and ``seconds`` of a stored shard; None if the file is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found: dict[str, Any] = json.loads(stored["rows"].tobytes())
            return found
    except Exception:  # numpy reads headers as Python text, so a damaged file raises almost anything
        return None


def read_arrays(path: Path, label: str) -> dict[int, dict[str, Array]]:
    """The arrays that describe items for the metric ``label``: row number -> name -> array."""
    arrays: dict[int, dict[str, Array]] = {}
    with np.load(path, allow_pickle=False) as stored:
        for key in stored.files:
            if key.startswith(f"{label}/"):
                _, row, name = key.rsplit("/", 2)
                arrays.setdefault(int(row), {})[name] = stored[key]
    return arrays


def _item_by_item(shard: Shard) -> Measured:
    whole = Measured()
    for item in shard.items:
        alone = Shard(shard.system, (item,), shard.parts, shard.lenient)
        try:
            part = next(spread(measure_shard, [alone], 2))
        except WorkerDied:
            reason = "the worker process that measured it was killed, perhaps because memory was short"
            problems = dict.fromkeys((label for label, _ in shard.parts), reason)
            row = {"id": item.id, "generated": str(item.generated), "problems": problems}
            part = Measured([{"system": shard.system, **row}])
        part.arrays = {(label, len(whole.rows), name): array for (label, _, name), array in part.arrays.items()}
        whole.rows += part.rows
        whole.arrays |= part.arrays
        whole.unavailable |= part.unavailable
        for label, seconds in part.seconds.items():
            whole.seconds[label] = whole.seconds.get(label, 0.0) + seconds
    return whole


def _write(path: Path, measured: Measured) -> None:
    plain = {name: getattr(measured, name) for name in ("rows", "unavailable", "seconds")}
    arrays = {"/".join((label, str(row), name)): array for (label, row, name), array in measured.arrays.items()}
    with atomic_write(path) as temporary:
        everything: dict[str, Any] = {"rows": np.frombuffer(json.dumps(plain).encode(), np.uint8), **arrays}
        np.savez(temporary, **everything)
