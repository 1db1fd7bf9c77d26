"""Computing cached features: in batches, on the GPU where that helps, else over processes or a Ray cluster.

An extractor is built once in each process. Items of similar length form a batch. Every finished shard is written at
once, so interrupted work continues with the first shard that is missing.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.component import FeatureExtractor, Utterance
from amphion_core.data.feature_cache import Array, FeatureCache, FeatureInfo, extractor_for, release_extractors
from amphion_core.data.manifest import Manifest, Record, audio_digest
from amphion_core.data.reading import Reader, Samples
from amphion_core.data.spread import default_processes, spread
from amphion_core.devices import resolve_device
from amphion_core.errors import AudioError, DataError
from amphion_core.files import atomic_write, is_file, make_folder
from amphion_core.parts import FeaturePart

CPU_SECONDS, GPU_SECONDS = 30.0, 240.0  # audio in one batch, padding counted
FEW_SECONDS = 60.0  # audio for which starting further processes takes longer than they save
TOLERANCE = 0.1  # seconds by which a feature may be longer or shorter than its audio, and at least 3 frames


@dataclass(frozen=True, slots=True)
class FeatureProgress:
    """How far the work has come: ``done`` of ``total`` utterances of all features, and the feature just computed."""

    done: int
    total: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Shard:
    """One file to compute: some utterances of a manifest."""

    manifest: Manifest
    part: FeaturePart
    info: FeatureInfo
    path: Path
    utterances: range
    device: str


def complete_features(
    caches: Iterable[FeatureCache], *, device: str = "auto", processes: int | None = None, ray: bool = False
) -> Iterator[FeatureProgress]:
    """Compute everything that is missing in ``caches``; yields the progress, first for what is there already.

    ``device`` is "auto" (a GPU if there is one), "cpu", "cuda", or "cuda:1". An extractor that can be moved to a GPU
    works there, in this process. Others work on the CPU in ``processes`` processes; None means one for each core, or
    this process alone for less than a minute of audio. With
    ``ray`` the shards are spread over a Ray cluster instead, whose computers must see the same files.
    Raises DataError for an utterance whose feature cannot be computed, and what `spread` and `spread_on_ray` raise.
    """
    if not ray:
        resolve_device(device)  # an unknown device is an error before any work
    caches = list(caches)
    tasks = [(cache, shard) for cache in caches for shard in cache.missing()]
    total = sum(len(cache.manifest) for cache in caches)
    done = total - sum(len(cache.span(shard)) for cache, shard in tasks)
    yield FeatureProgress(done, total)
    try:
        for group in _grouped(tasks):
            part = group[0][0].part
            for count in _spread([_task(*task, device) for task in group], device, processes, ray):
                done += count
                yield FeatureProgress(done, total, part.name)
    finally:
        release_extractors()


def _grouped(tasks: Sequence[tuple[FeatureCache, int]]) -> list[list[tuple[FeatureCache, int]]]:
    """The tasks of each extractor together, so that it need not be built again in between."""
    groups: dict[FeaturePart, list[tuple[FeatureCache, int]]] = {}
    for cache, shard in tasks:
        groups.setdefault(cache.part, []).append((cache, shard))
    return list(groups.values())


def _task(cache: FeatureCache, shard: int, device: str) -> _Shard:
    make_folder(cache.folder)
    path = cache.shards[shard].absolute()
    return _Shard(cache.manifest, cache.part, cache.info, path, cache.span(shard), device)


def _spread(tasks: list[_Shard], device: str, processes: int | None, ray: bool) -> Iterator[int]:
    if ray:
        from amphion_core.data.ray_spread import spread_on_ray

        return spread_on_ray(compute_shard, tasks, gpu=device != "cpu" and tasks[0].info.movable)
    if _device(tasks[0]) != "cpu":
        return map(compute_shard, tasks)
    seconds = sum(float(task.manifest.durations[task.utterances].sum()) for task in tasks)
    count = min(len(tasks), processes or (1 if seconds < FEW_SECONDS else default_processes()))
    if count > 1:
        release_extractors()  # the processes build their own
    return spread(compute_shard, tasks, count)


def _device(shard: _Shard) -> str:
    """The device on which a shard is computed: the CPU unless the extractor can be moved. Raises DeviceError."""
    return str(resolve_device(shard.device)) if shard.info.movable else "cpu"


def compute_shard(shard: _Shard) -> int:
    """Compute one shard and write its file; returns the number of its utterances."""
    from safetensors.numpy import save_file

    device = _device(shard)
    extractor = extractor_for(shard.part).to(device)
    reader, found = Reader(), {}
    records = {index: shard.manifest[index] for index in shard.utterances}
    utterances = {index: record.utterance for index, record in records.items()}
    seconds = CPU_SECONDS if device == "cpu" else GPU_SECONDS

    def waves(indices: list[int]) -> list[Samples]:
        for index in indices:
            _check_digest(records[index])
        return [reader.read(utterances[index], extractor.sample_rate) for index in indices]

    for indices, waves_read in _read_ahead(waves, _batches(utterances, seconds)):
        items = [utterances[index] for index in indices]
        for index, feature in zip(indices, extract(extractor, waves_read, items, device, shard.part.name), strict=True):
            found[str(index)] = feature
    with atomic_write(shard.path) as temporary:
        save_file(found, temporary, {"info": json.dumps(asdict(shard.info))})
    return len(found)


def _check_digest(record: Record) -> None:
    """Raises DataError if a file is another one than was prepared: features are found by the digest of the audio.

    Digests that amphion prepare did not write are not checked, and missing files are reported by who reads them.
    """
    path = record.utterance.path
    if re.fullmatch("[0-9a-f]{24}", record.digest) and is_file(path) and audio_digest(path) != record.digest:
        raise DataError(
            f"{path} of item {record.utterance.id} has changed since amphion prepare, or its digest is wrong",
            hint="run amphion prepare again",
        )


def _read_ahead(
    read: Callable[[list[int]], list[Samples]], batches: Iterable[list[int]]
) -> Iterator[tuple[list[int], list[Samples]]]:
    """Each batch with its audio. A thread reads the next batch while the extractor works on this one."""
    with ThreadPoolExecutor(1) as thread:
        before: tuple[list[int], Future[list[Samples]]] | None = None
        for batch in batches:
            following = batch, thread.submit(read, batch)
            if before is not None:
                yield before[0], before[1].result()
            before = following
        if before is not None:
            yield before[0], before[1].result()


def _batches(utterances: dict[int, Utterance], seconds: float) -> Iterator[list[int]]:
    """Indices of utterances of similar length, so many that the longest times their number is at most ``seconds``."""
    batch: list[int] = []
    for index in sorted(utterances, key=lambda index: utterances[index].duration):
        if batch and utterances[index].duration * (len(batch) + 1) > seconds:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def extract(
    extractor: FeatureExtractor, waves: Sequence[Samples], utterances: Sequence[Utterance], device: str, name: str
) -> list[Array]:
    """The feature of each wave (T_b,): (dim, N_b), or (dim,) where it is one vector per utterance.

    A batch that does not fit into the GPU's memory is halved. Raises DataError that names the utterance at fault.
    """
    import torch

    counts = [extractor.frames(len(wave)) for wave in waves]
    alike = len({len(wave) for wave in waves}) == 1
    if len(waves) > 1 and not alike and extractor.frame_shift is not None and None in counts:
        pairs = zip(waves, utterances, strict=True)
        return [extract(extractor, [wave], [item], device, name)[0] for wave, item in pairs]
    lengths = [len(wave) for wave in waves]
    if len(waves) == 1:
        padded = np.ascontiguousarray(waves[0], np.float32)[None]  # no copy: it may last hours
    else:
        padded = np.zeros((len(waves), max(lengths)), np.float32)
        for row, wave in zip(padded, waves, strict=True):
            row[: len(wave)] = wave
    try:
        with torch.no_grad():
            given = None if alike else torch.tensor(lengths, device=device)
            found = extractor.extract(torch.from_numpy(padded).to(device), given)
        features = (found.float() if found.is_floating_point() else found).cpu().numpy()
    except (AudioError, torch.OutOfMemoryError) as error:
        if len(waves) > 1:
            half = len(waves) // 2
            parts = (waves[:half], utterances[:half]), (waves[half:], utterances[half:])
            return [row for part, items in parts for row in extract(extractor, part, items, device, name)]
        raise _failed(name, utterances[0], str(error)) from error
    return [
        _checked(extractor, feature if count is None or alike else feature[..., :count], len(wave), item, name)
        for feature, count, wave, item in zip(features, counts, waves, utterances, strict=True)
    ]


def _checked(extractor: FeatureExtractor, feature: Any, samples: int, utterance: Utterance, name: str) -> Array:
    """The feature as a contiguous array. Raises DataError where it is not what its extractor declares."""
    shift = extractor.frame_shift
    if feature.ndim != (1 if shift is None else 2) or len(feature) != extractor.dim:
        shape = f"({extractor.dim},)" if shift is None else f"({extractor.dim}, N)"
        raise _failed(name, utterance, f"its shape is {feature.shape}, the extractor declares {shape}")
    if shift is not None:
        expected = samples / extractor.sample_rate / shift
        if abs(feature.shape[1] - expected) > max(3.0, TOLERANCE / shift):
            raise _failed(name, utterance, f"{feature.shape[1]} frames, its frame_shift says {expected:.1f}")
    if not np.isfinite(feature).all():
        raise _failed(name, utterance, "it holds values that are not finite")
    return np.ascontiguousarray(feature)


def _failed(name: str, utterance: Utterance, why: str) -> DataError:
    return DataError(
        f"the feature {name} of item {utterance.id} ({utterance.path}) cannot be computed: {why}",
        hint="leave the item out: amphion prepare ... shortest=SECONDS, or remove its file and prepare again",
    )
