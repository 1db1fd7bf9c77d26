"""Preparing a corpus: reads every file once, writes manifests, and reports the files that cannot be used.

The work is spread over processes, or over a Ray cluster, in portions of some hundred utterances. The results of a
portion stay in the output folder until all portions are done, so an interrupted preparation continues where it stopped.
A bad file never ends the work; it is skipped and listed in the report.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from amphion_core import yaml
from amphion_core.audio import LOUDEST
from amphion_core.audio_files import HIGHEST_RATE, AudioFileError
from amphion_core.component import Dataset, Utterance
from amphion_core.config import BaseConfig
from amphion_core.data.manifest import ABOUT, Record, audio_digest
from amphion_core.data.paths import absolute, is_plain, relative_to_corpus
from amphion_core.data.ray_spread import spread_on_ray
from amphion_core.data.report import Skipped, kind, printable, report_of
from amphion_core.data.spread import spread
from amphion_core.data.tidying import check_installed, gain_to, speech_span
from amphion_core.errors import DataError, shown
from amphion_core.files import atomic_write, make_folder
from amphion_core.tables import read_lines

if TYPE_CHECKING:
    from amphion_core.audio_files.reading import AudioFile, Samples

PORTION = 256  # utterances whose results share one file
SPLITS = ("train", "dev", "test")
_SPLIT = re.compile(r"\w[\w .+-]{0,99}")  # the name of a manifest, without parts of a path
_SILENT = 1e-3  # peak below which audio is called silent: -60 dB
_MOST_PIECES = 100_000  # of one recording
_CLIPPED = 1e-3  # share of samples at full scale above which audio is called clipped

Leakage = Literal["utterance", "recording", "speaker"]


class PrepareConfig(BaseConfig):
    """Which utterances are used, and how they are split where the corpus defines no splits."""

    shortest: float = Field(default=0.1, ge=0, description="shorter utterances are skipped, seconds")
    longest: float = Field(
        default=30.0, ge=0.1, le=36_000,
        description="longer ones are skipped, or cut into pieces if they have no text, seconds",
    )  # fmt: skip
    rate: int | None = Field(
        default=None, ge=1000, le=HIGHEST_RATE, description="audio of another rate is skipped, Hz; null: any rate"
    )
    need_text: bool = Field(default=False, description="skip utterances without a text")
    leave_out: str | None = Field(
        default=None, description="a file with the ids of utterances to leave out, one in each line"
    )
    trim: float | None = Field(
        default=None, ge=10, le=120,
        description="leave out silence at both ends: what is this many dB under the peak, such as 40; null: nothing",
    )  # fmt: skip
    loudness: float | None = Field(
        default=None, ge=-60, le=0, description="give every utterance this loudness, LUFS, such as -23; null: as it is"
    )
    dev: float = Field(default=0.05, ge=0, lt=1, description="share of the dev split")
    test: float = Field(default=0.05, ge=0, lt=1, description="share of the test split")
    split_by: Leakage | None = Field(
        default=None, description="what must not be shared by two splits; null: the reader decides"
    )

    licence: str = Field(
        default="", max_length=1000,
        description="licence and credit of the recordings; the card of a model that is trained on them states it",
    )  # fmt: skip

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.shortest >= self.longest:
            raise ValueError(f"shortest: {self.shortest:g} s is not below longest, {self.longest:g} s")
        if self.dev + self.test >= 1:
            raise ValueError(f"dev: {self.dev:g} and test: {self.test:g} leave nothing for train")
        return self


def prepare(
    dataset: Dataset, root: str | Path, out: str | Path, config: PrepareConfig | None = None, *,
    processes: int = 1, ray: bool = False,
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Write manifests and a report into ``out``; yields (utterances done, utterances in total) after each portion.

    The manifests' paths are relative to ``root``. With ``ray`` the files are read by a Ray cluster, whose computers
    must see the same folders; else by ``processes`` processes. After a failure ``out`` holds what it held before. After
    an interruption it also holds the finished portions, and the next call continues with them.
    Raises DataError for a folder that is not such a corpus, and when no utterance can be used; AmphionError where
    ``out`` cannot be written; also what `spread` and `spread_on_ray` raise.
    """
    config, root, out = config or PrepareConfig(), absolute(root), absolute(out)
    check_installed(trim=config.trim is not None, loudness=config.loudness is not None)
    given = dataset.utterances()
    found = (one if is_plain(one.path) else replace(one, path=str(absolute(one.path))) for one in given)
    utterances, unusable = _checked(_cut_long(found, config), root, _unwanted(config.leave_out))
    if not utterances:
        raise _nothing_usable(
            f"{root} holds no utterances", [*dataset.problems, *((i["id"], i["reason"]) for i in unusable)]
        )
    is_new = not out.exists()
    work = make_folder(make_folder(out) / ".prepare")
    portions = [utterances[first : first + PORTION] for first in range(0, len(utterances), PORTION)]
    names = [work / f"{_portion_name(portion, config)}.json" for portion in portions]
    todo = [(portion, name) for portion, name in zip(portions, names, strict=True) if not name.is_file()]
    done = len(utterances) - sum(len(portion) for portion, _ in todo)
    yield done, len(utterances)
    examine = partial(_examine, config=config, root=str(root))
    for count in spread_on_ray(examine, todo) if ray else spread(examine, todo, min(processes, len(todo))):
        done += count
        yield done, len(utterances)
    results = [result for name in names for result in json.loads(name.read_text(encoding="utf-8"))]
    try:
        _write(dataset, root, out, config, [*results, *unusable])
    except DataError:
        shutil.rmtree(work)
        if is_new:
            out.rmdir()
        raise
    shutil.rmtree(work)


def _nothing_usable(message: str, reasons: Sequence[tuple[str, str]]) -> DataError:
    """The error of a corpus without usable utterances, with the most frequent reason and an example."""
    hint = "check the folder and the options; amphion list datasets shows the readers"
    if not reasons:
        return DataError(message, hint=hint)
    often, count = Counter(kind(why) for _, why in reasons).most_common(1)[0]
    where, why = next((where, why) for where, why in reasons if kind(why) == often)
    others = f" and {count - 1} more" if count > 1 else ""
    return DataError(f"{message}; most often: {why} ({where}{others})", hint=hint)


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


def _cut_long(utterances: Iterable[Utterance], config: PrepareConfig) -> Iterator[Utterance]:
    """The utterances; long recordings without a text become equal pieces."""
    for utterance in utterances:
        if not config.longest < utterance.duration < _MOST_PIECES * config.longest or utterance.text:
            yield utterance
            continue
        count = math.ceil(utterance.duration / config.longest)
        piece, extra = utterance.duration / count, {"recording": utterance.id} | utterance.extra
        for index in range(count):
            start = utterance.start + index * piece
            yield replace(utterance, id=f"{utterance.id}-{index:04d}", start=start, duration=piece, extra=extra)


def _unwanted(file: str | None) -> frozenset[str]:
    """The ids in a file, one in each line. Raises DataError for a file that cannot be read."""
    return frozenset(line.strip() for _, line in read_lines(Path(file))) if file else frozenset()


def _checked(
    utterances: Iterable[Utterance], root: Path, unwanted: frozenset[str]
) -> tuple[list[Utterance], list[Skipped]]:
    """The utterances with id, path and split that can be written, the first of each id; the others with a reason."""
    kept: dict[str, Utterance] = {}
    skipped: list[Skipped] = []
    for utterance in utterances:
        text = f"{utterance.id}{utterance.path}{utterance.text}{utterance.speaker}"
        if not text.isascii() and printable(text) != text:
            reason = "its name is not UTF-8; rename it"
        elif utterance.id in unwanted:
            reason = "leave_out names it"
        elif utterance.split and (not _SPLIT.fullmatch(utterance.split) or len(utterance.split.encode()) > 200):
            reason = f"its split cannot be the name of a manifest: {shown(utterance.split)}"
        elif (before := kept.setdefault(utterance.id, utterance)) is not utterance:
            reason = f"another utterance has the same id: {relative_to_corpus(before.path, root)}"
        else:
            continue
        path = relative_to_corpus(utterance.path, root)
        skipped.append({"id": printable(utterance.id), "path": printable(path), "reason": reason})
    return list(kept.values()), skipped


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
    """Read a portion and write its results: ``{"line", "clipped", "trimmed"}`` or, for a bad file, ``{"id", "path",
    "reason"}``.

    Returns the number of utterances.
    """
    portion, name = task
    results: list[dict[str, Any]] = []
    for utterance in portion:
        relative = relative_to_corpus(utterance.path, root)
        try:
            record, clipped, trimmed = _read(utterance, config)
            record = replace(record, utterance=replace(record.utterance, path=relative))
            results.append({"line": record.line(), "clipped": clipped, "trimmed": trimmed})
        except DataError as error:
            results.append({"id": utterance.id, "path": relative, "reason": error.message})
    with atomic_write(name) as temporary:
        temporary.write_text(json.dumps(results, ensure_ascii=False), encoding="utf-8")
    return len(portion)


def _read(utterance: Utterance, config: PrepareConfig) -> tuple[Record, bool, float]:
    """The record, whether its audio is clipped, and the seconds that were trimmed.

    Raises DataError with the reason to skip it.
    """
    from amphion_core.audio_files.reading import AudioFile

    if not (0 <= utterance.start < math.inf and 0 <= utterance.duration < math.inf):
        raise DataError(f"no times: start {utterance.start}, duration {utterance.duration}")
    try:
        with AudioFile(utterance.path) as file:
            digest = audio_digest(utterance.path)
            rate, subtype = int(file.samplerate), str(file.subtype)
            samples = _span(file, round(utterance.start * rate), round(utterance.duration * rate), config)
    except AudioFileError as error:
        raise DataError(error.reason) from error
    except OSError as error:
        raise DataError(f"not readable audio: {error.strerror or error}") from error
    if not len(samples):
        raise DataError("no samples")
    _check_duration(len(samples) / rate, config)
    if config.rate is not None and rate != config.rate:
        raise DataError(f"a rate of {rate} Hz, not {config.rate} Hz")
    _check_level(samples, subtype)
    if config.need_text and not utterance.text.strip():
        raise DataError("no text")
    clipped = bool((np.abs(samples) >= 0.999).mean() > _CLIPPED)
    first, end = (0, len(samples)) if config.trim is None else speech_span(samples, rate, config.trim)
    trimmed = (len(samples) - (end - first)) / rate
    if trimmed:
        samples = samples[first:end]
        _check_duration(len(samples) / rate, config)
    gain = 0.0 if config.loudness is None else gain_to(config.loudness, samples, rate)
    found = replace(utterance, start=utterance.start + first / rate, duration=len(samples) / rate, gain=gain)
    return Record(found, rate, digest), clipped, trimmed


def _check_duration(duration: float, config: PrepareConfig) -> None:
    """Raise DataError for a duration in seconds outside of the limits."""
    if duration < config.shortest:
        raise DataError(f"shorter than {config.shortest:g} s")
    if duration > config.longest * 1.001:
        raise DataError(f"longer than {config.longest:g} s")


def _check_level(samples: "Samples", subtype: str) -> None:
    """Raise DataError for samples that are not finite, silent, or at the scale of integers."""
    if not np.isfinite(samples).all():
        raise DataError("samples that are not finite")
    peak = float(np.abs(samples).max())
    if peak < _SILENT:
        raise DataError("silent")
    if peak > LOUDEST or (peak > 1 and subtype in ("FLOAT", "DOUBLE") and not np.mod(samples, 1).any()):
        raise DataError(
            f"samples at the scale of integers: the peak is {peak:,.0f}, but full scale is 1. "
            "If they have 16 bits: ffmpeg -i FILE -af volume=1/32768 NEW.wav"
        )


def _span(file: "AudioFile", start: int, count: int, config: PrepareConfig) -> "Samples":
    """``count`` samples from ``start``, (T, C); to the end of the file if ``count`` is 0.

    Little more is read than the longest utterance needs, whatever the header states. Raises AudioFileError.
    """
    most = math.ceil(config.longest * 1.01 * file.samplerate)
    wanted = min(count or most, most)
    if file.stated is not None:
        wanted = min(wanted, max(0, file.stated - start))
    return file.span(start, wanted)


def _write(dataset: Dataset, root: Path, out: Path, config: PrepareConfig, results: list[dict[str, Any]]) -> None:
    """Write the manifests, dataset.yaml and the report. Raises DataError when no utterance can be used."""
    records = [Record.parse(result["line"], "a prepared record") for result in results if "line" in result]
    skipped = [result for result in results if "reason" in result]
    if not records:
        reasons = [(item["path"], item["reason"]) for item in skipped]
        raise _nothing_usable(f"none of the {len(results)} utterances of {root} can be used", reasons)
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
        report = report_of(root, records, skipped, clipped, dataset.problems)
        report["trimmed"] = round(sum(result.get("trimmed", 0.0) for result in results), 3)
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
