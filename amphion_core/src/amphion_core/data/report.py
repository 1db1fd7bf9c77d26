"""The report of ``amphion prepare``: every file that was found was read, or was skipped for a reason that is listed."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from amphion_core.audio_files import audio_files
from amphion_core.data.manifest import Record
from amphion_core.errors import counted

NOT_NAMED = "no table or folder of the corpus names it"

Skipped = dict[str, Any]
"""An utterance that was skipped: {"id", "path", "reason"}."""


def report_of(
    root: Path, records: Sequence[Record], skipped: Sequence[Skipped], clipped: int, problems: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """The report of a prepared corpus in the folder ``root``; paths are relative to it.

    ``splits`` holds numbers for each split. ``files`` counts the audio files: found = read + skipped, and
    ``files_skipped`` lists those. ``utterances`` counts what the reader found in them: found = kept + skipped, and
    ``items_left_out`` lists those. ``problems`` lists (where, why) for everything else that the reader could not use,
    such as rows of tables without a recording. ``without_text`` lists ids, if other utterances have a text. ``gains``
    are the smallest and the largest gain in dB.
    """
    problems, used = list(problems), {record.utterance.path for record in records}
    files = _skipped_files(root, used, skipped, problems)
    named, read = {path for path, _ in files}, len(used)
    texts = any(record.utterance.text for record in records)
    return {
        "splits": _splits(records),
        "rates": {str(rate): count for rate, count in Counter(record.rate for record in records).items()},
        "clipped": clipped,
        "gains": [ends(record.utterance.gain for record in records) for ends in (min, max)],
        "files": {"found": read + len(files), "read": read, "skipped": len(files)},
        "files_skipped": [{"path": path, "reason": reason} for path, reason in files],
        "utterances": {"found": len(records) + len(skipped), "kept": len(records), "skipped": len(skipped)},
        "left_out": dict(Counter(kind(item["reason"]) for item in skipped).most_common()),
        "items_left_out": list(skipped),
        "without_text": [record.utterance.id for record in records if not record.utterance.text] if texts else [],
        "problems": [[printable(where), printable(why)] for where, why in problems if where not in named],
    }


def kind(reason: str) -> str:
    """The part of a reason that is the same for all files with this fault: what is before the details."""
    return reason.partition(": ")[0]


def summary(report: dict[str, Any]) -> list[str]:
    """The lines of a report that a person reads first: numbers, the sums, and an example of each fault."""
    lines = []
    for name, split in report["splits"].items():
        speakers = f", {counted(split['speakers'], 'speaker')}" if split["speakers"] else ""
        what = f"{counted(split['utterances'], 'utterance')}, {duration_text(split['hours'])}"
        lines.append(f"{name}: {what}{speakers}, {split['with_text']} with a text")
    lines.append("rates: " + ", ".join(f"{rate} Hz ({count})" for rate, count in report["rates"].items()))
    files, utterances = report["files"], report["utterances"]
    lines.append(f"files: {files['found']} found = {files['read']} read + {files['skipped']} skipped")
    lines += _by_kind("skipped", [(item["path"], item["reason"]) for item in report["files_skipped"]])
    counts = f"{utterances['found']} found = {utterances['kept']} kept + {utterances['skipped']} skipped"
    lines.append(f"utterances: {counts}")
    paths = {item["path"] for item in report["files_skipped"]}
    rest = [(item["id"], item["reason"]) for item in report["items_left_out"] if item["path"] not in paths]
    lines += _by_kind("skipped", rest)
    if report["clipped"]:
        lines.append(f"clipped, but kept: {report['clipped']}")
    if report["trimmed"]:
        lines.append(f"silence left out at the ends: {report['trimmed']:.1f} seconds")
    if any(report["gains"]):
        lines.append("gains for an even loudness: {:+.1f} to {:+.1f} dB".format(*report["gains"]))
    if without := report["without_text"]:
        lines.append(f"without a text, but kept: {len(without)}, such as {without[0]}")
    lines += _by_kind("problem", [(where, why) for where, why in report["problems"]])
    return lines


def _by_kind(title: str, items: Sequence[tuple[str, str]]) -> list[str]:
    lines = []
    for name, count in Counter(kind(why) for _, why in items).most_common():
        where, why = next((where, why) for where, why in items if kind(why) == name)
        details = why.partition(": ")[2]
        lines.append(f"{title}, {name}: {count}, such as {where}" + (f" ({details})" if details else ""))
    return lines


def _skipped_files(
    root: Path, read: set[str], skipped: Sequence[Skipped], problems: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Every audio file that no record uses, with the reason, sorted by path."""
    prefix = len(os.fspath(root / "x")) - 1  # characters of a path before the part below the root
    unusable: dict[Path, str] = {}
    found = {printable(os.fspath(path)[prefix:]) for path in audio_files(root, unusable.__setitem__)}
    left_out = {printable(os.fspath(path)[prefix:]): reason for path, reason in unusable.items()}
    stated = {where: why for where, why in problems if where in found or where in left_out}
    examined: dict[str, str] = {}
    for item in skipped:  # also files that the reader knows although they are outside of the folder
        if item["path"] in found or os.path.lexists(os.path.join(root, item["path"])):  # noqa: PTH118
            examined.setdefault(item["path"], item["reason"])
    reasons = dict.fromkeys(found, NOT_NAMED) | left_out | stated | examined
    return sorted((path, reason) for path, reason in reasons.items() if path not in read)


def printable(text: str) -> str:
    """A path without the surrogates that stand for bytes that are not UTF-8; they cannot be written to a file."""
    return text.encode("utf-8", "backslashreplace").decode()


def _splits(records: Sequence[Record]) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for name in sorted({record.utterance.split for record in records}):
        part = [record.utterance for record in records if record.utterance.split == name]
        seconds = [utterance.duration for utterance in part]
        splits[name] = {
            "utterances": len(part), "hours": round(sum(seconds) / 3600, 6), "shortest": round(min(seconds), 3),
            "longest": round(max(seconds), 3), "speakers": len({u.speaker for u in part if u.speaker}),
            "with_text": sum(bool(u.text) for u in part),
        }  # fmt: skip
    return splits


def duration_text(hours: float) -> str:
    """A duration for people: minutes below an hour, and seconds below a minute.

    >>> duration_text(0.75)
    '45.0 minutes'
    """
    if hours >= 1:
        return f"{hours:.2f} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 1 else f"{hours * 3600:.1f} seconds"
