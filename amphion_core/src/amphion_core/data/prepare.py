"""Preparing a corpus: reads every file once, writes manifests, and reports the files that cannot be used.

The work is spread over processes, or over a Ray cluster, in portions of some hundred utterances. The results of a
portion stay in the output folder until all portions are done, so an interrupted preparation continues where it stopped.
A bad file never ends the work; it is skipped and listed in the report.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from amphion_core import yaml
from amphion_core.audio import UNKNOWN_FRAMES
from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.data.manifest import ABOUT, Record
from amphion_core.data.paths import absolute, relative_to_corpus
from amphion_core.data.ray_spread import spread_on_ray
from amphion_core.data.spread import spread
from amphion_core.errors import DataError
from amphion_core.files import atomic_write

PORTION = 256  # utterances whose results share one file
SPLITS = ("train", "dev", "test")
_SILENT = 1e-3  # peak below which audio is called silent: -60 dB
_CLIPPED = 1e-3  # share of samples at full scale above which audio is called clipped

Leakage = Literal["utterance", "recording", "speaker"]


class PrepareConfig(BaseConfig):
    """Which utterances are used, and how they are split where the corpus defines no splits."""

    shortest: float = Field(default=0.1, ge=0, description="shorter utterances are skipped, seconds")
    longest: float = Field(
        default=30.0, gt=0, description="longer ones are skipped, or cut into pieces if they have no text, seconds"
    )
    rate: int | None = Field(default=None, gt=0, description="audio of another rate is skipped, Hz; null: any rate")
    need_text: bool = Field(default=False, description="skip utterances without a text")
    dev: float = Field(default=0.05, ge=0, lt=1, description="share of the dev split")
    test: float = Field(default=0.05, ge=0, lt=1, description="share of the test split")
    split_by: Leakage | None = Field(
        default=None, description="what must not be shared by two splits; null: the reader decides"
    )


def prepare(
    dataset: Dataset, root: str | Path, out: str | Path, config: PrepareConfig | None = None, *,
    processes: int = 1, ray: bool = False,
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Write manifests and a report into ``out``; yields (utterances done, utterances in total) after each portion.

    The manifests' paths are relative to ``root``. With ``ray`` the files are read by a Ray cluster, whose computers
    must see the same folders; else by ``processes`` processes.
    Raises DataError for a folder that is not such a corpus, for two utterances with one id, and when no utterance can
    be used; also what `spread` and `spread_on_ray` raise.
    """
    config, root, out = config or PrepareConfig(), absolute(root), absolute(out)
    found = (replace(one, path=str(absolute(one.path))) for one in dataset.utterances())
    utterances = list(_cut_long(found, config))
    _check_ids(utterances)
    if not utterances:
        raise DataError(f"{root} holds no utterances", hint="check the folder; amphion list datasets shows the readers")
    work = out / ".prepare"
    work.mkdir(parents=True, exist_ok=True)
    portions = [utterances[first : first + PORTION] for first in range(0, len(utterances), PORTION)]
    names = [work / f"{_portion_name(portion, config)}.json" for portion in portions]
    todo = [(portion, name) for portion, name in zip(portions, names, strict=True) if not name.is_file()]
    done = len(utterances) - sum(len(portion) for portion, _ in todo)
    yield done, len(utterances)
    examine = partial(_examine, config=config, root=str(root))
    for count in spread_on_ray(examine, todo) if ray else spread(examine, todo, processes):
        done += count
        yield done, len(utterances)
    results = [result for name in names for result in json.loads(name.read_text(encoding="utf-8"))]
    _write(dataset, root, out, config, results)
    for name in work.iterdir():
        name.unlink()
    work.rmdir()


def split_of(groups: Sequence[str], *, dev: float, test: float) -> dict[str, str]:
    """The split of every group. Groups are ordered by a hash of their name: the first are test, the next are dev.

    So the same groups always get the same splits. With three groups or more, every split with a share gets a group.
    """
    ordered = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).hexdigest())
    counts = [max(round(share * len(ordered)), int(share > 0)) for share in (test, dev)]
    if len(ordered) < 3:
        counts = [0, 0]
    ends = np.cumsum(counts)
    return {group: SPLITS[2 if index < ends[0] else 1 if index < ends[1] else 0] for index, group in enumerate(ordered)}


def _cut_long(utterances: Any, config: PrepareConfig) -> Iterator[Utterance]:
    """The utterances; long recordings without a text become equal pieces."""
    for utterance in utterances:
        if utterance.duration <= config.longest or utterance.text:
            yield utterance
            continue
        count = int(-(-utterance.duration // config.longest))
        piece, extra = utterance.duration / count, {"recording": utterance.id} | utterance.extra
        for index in range(count):
            start = utterance.start + index * piece
            yield replace(utterance, id=f"{utterance.id}-{index:04d}", start=start, duration=piece, extra=extra)


def _check_ids(utterances: list[Utterance]) -> None:
    repeated = [id for id, count in Counter(utterance.id for utterance in utterances).items() if count > 1]
    if repeated:
        paths = [utterance.path for utterance in utterances if utterance.id == repeated[0]]
        raise DataError(
            f"{len(repeated)} ids belong to more than one utterance: {repeated[0]} is {' and '.join(paths[:2])}",
            hint="rename one of the files, or choose one part of the corpus",
        )


def _portion_name(portion: list[Utterance], config: PrepareConfig) -> str:
    """A hash of everything that the result depends on: fields, sizes and times of the files, options."""
    stats = []
    for utterance in portion:
        try:
            found = os.stat(utterance.path)  # noqa: PTH116 - faster than Path, and there are many
            stats.append([found.st_size, found.st_mtime_ns])
        except OSError:
            stats.append([0, 0])
    text = json.dumps([config.model_dump(), [asdict(utterance) for utterance in portion], stats])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _examine(task: tuple[list[Utterance], Path], *, config: PrepareConfig, root: str) -> int:
    """Read a portion and write its results: ``{"line", "clipped"}`` or, for a bad file, ``{"id", "path", "reason"}``.

    Returns the number of utterances.
    """
    portion, name = task
    results: list[dict[str, Any]] = []
    for utterance in portion:
        relative = relative_to_corpus(utterance.path, root)
        try:
            rate, digest, clipped, duration = _read(utterance, config)
            found = replace(utterance, path=relative, duration=duration)
            results.append({"line": Record(found, rate, digest).line(), "clipped": clipped})
        except DataError as error:
            results.append({"id": utterance.id, "path": relative, "reason": error.message})
    with atomic_write(name) as temporary:
        temporary.write_text(json.dumps(results, ensure_ascii=False), encoding="utf-8")
    return len(portion)


def _read(utterance: Utterance, config: PrepareConfig) -> tuple[int, str, bool, float]:
    """Rate, digest of the file, whether it is clipped, and seconds. Raises DataError with the reason to skip it."""
    import soundfile

    try:
        digest = _digest(utterance.path)
        with soundfile.SoundFile(utterance.path) as file:
            rate = int(file.samplerate)
            if file.frames >= UNKNOWN_FRAMES:
                raise DataError("its header does not state its length; convert it: ffmpeg -i FILE FILE.wav")
            file.seek(min(round(utterance.start * rate), file.frames))
            whole = file.frames - file.tell()
            count = min(whole, round(utterance.duration * rate)) if utterance.duration else whole
            samples = file.read(count, dtype="float32", always_2d=True)
    except FileNotFoundError as error:
        raise DataError("there is no such file") from error
    except (OSError, RuntimeError) as error:
        raise DataError("not readable audio") from error
    duration = len(samples) / rate
    if not len(samples):
        raise DataError("no samples")
    if duration < config.shortest:
        raise DataError(f"shorter than {config.shortest:g} s")
    if duration > config.longest * 1.001:
        raise DataError(f"longer than {config.longest:g} s")
    if config.rate is not None and rate != config.rate:
        raise DataError(f"a rate of {rate} Hz, not {config.rate} Hz")
    if not np.isfinite(samples).all():
        raise DataError("samples that are not finite")
    magnitudes = np.abs(samples)
    if float(magnitudes.max()) < _SILENT:
        raise DataError("silent")
    if config.need_text and not utterance.text.strip():
        raise DataError("no text")
    return rate, digest, bool((magnitudes >= 0.999).mean() > _CLIPPED), duration


@lru_cache(maxsize=4)
def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]


def _write(dataset: Dataset, root: Path, out: Path, config: PrepareConfig, results: list[dict[str, Any]]) -> None:
    """Write the manifests, dataset.yaml and the report. Raises DataError when no utterance can be used."""
    records = [Record.parse(result["line"], "a prepared record") for result in results if "line" in result]
    skipped = [result for result in results if "reason" in result]
    if not records:
        reasons = Counter(result["reason"] for result in skipped).most_common(1)
        why = f"; most often: {reasons[0][0]}" if reasons else ""
        raise DataError(f"none of the {len(results)} utterances of {root} can be used{why}", hint="check the options")
    records = _with_splits(records, dataset, config)
    for split in sorted({record.utterance.split for record in records} | set(_old_splits(out))):
        lines = [record.line() + "\n" for record in records if record.utterance.split == split]
        with atomic_write(out / f"{split}.jsonl") as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
        if not lines:  # a split of an earlier preparation
            (out / f"{split}.jsonl").unlink()
    from amphion_core import registry

    about = {
        "reader": {"name": registry.name_of(type(dataset), "datasets"), **dataset.config.model_dump(mode="json")},
        "options": config.model_dump(mode="json"), "root": str(root),
    }  # fmt: skip
    with atomic_write(out / ABOUT) as temporary:
        temporary.write_text(yaml.dump(about), encoding="utf-8")
    clipped = sum(result.get("clipped", False) for result in results)
    with atomic_write(out / "report.json") as temporary:
        report = _report(records, skipped, clipped, getattr(dataset, "problems", []))
        temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _old_splits(out: Path) -> Iterator[str]:
    return (path.stem for path in out.glob("*.jsonl"))


def _with_splits(records: list[Record], dataset: Dataset, config: PrepareConfig) -> list[Record]:
    """The records with their splits: those that the corpus defines, else made so that nothing leaks."""
    if any(record.utterance.split for record in records):
        return [
            record if record.utterance.split else replace(record, utterance=replace(record.utterance, split="train"))
            for record in records
        ]
    by = config.split_by or dataset.leakage

    def group(utterance: Utterance) -> str:
        recording = utterance.extra.get("recording") or utterance.path
        return {"utterance": utterance.id, "recording": recording, "speaker": utterance.speaker or recording}[by]

    groups = [group(record.utterance) for record in records]
    splits = split_of(groups, dev=config.dev, test=config.test)
    return [
        replace(record, utterance=replace(record.utterance, split=splits[name]))
        for record, name in zip(records, groups, strict=True)
    ]


def _report(records: list[Record], skipped: list[dict[str, Any]], clipped: int, problems: Any) -> dict[str, Any]:
    """The report: numbers for each split, and every skipped item with its reason."""
    splits: dict[str, Any] = {}
    for name in sorted({record.utterance.split for record in records}):
        part = [record.utterance for record in records if record.utterance.split == name]
        seconds = [utterance.duration for utterance in part]
        splits[name] = {
            "utterances": len(part), "hours": round(sum(seconds) / 3600, 4), "shortest": round(min(seconds), 3),
            "longest": round(max(seconds), 3), "speakers": len({u.speaker for u in part if u.speaker}),
            "with_text": sum(bool(u.text) for u in part),
        }  # fmt: skip
    return {
        "splits": splits,
        "rates": {str(rate): count for rate, count in Counter(record.rate for record in records).items()},
        "clipped": clipped,
        "left_out": dict(Counter(item["reason"] for item in skipped).most_common()),
        "items_left_out": skipped,
        "problems": [list(problem) for problem in problems],
    }
