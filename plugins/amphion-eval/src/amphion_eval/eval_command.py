"""Evaluate generated audio: two folders paired by name, metrics by name, per-file results and a summary."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from amphion_core import registry
from amphion_core.errors import DataError

if TYPE_CHECKING:
    from amphion_eval.evaluation import Report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion eval``."""
    parser.add_argument("generated", type=Path, help="a folder of audio files, or one file")
    parser.add_argument("--ref", type=Path, help="the folder (or file) of reference recordings, same names")
    parser.add_argument(
        "--text", type=Path, help="what should be said: id|text lines, or csv/tsv with columns id and text"
    )
    parser.add_argument(
        "--metrics", default="all", help=f"comma-separated of {', '.join(registry.names('metrics'))}; all"
    )
    parser.add_argument(
        "--recognizer", help="for wer and cer: auto, whisper-base, whisper-tiny.en, a folder, a hub name"
    )
    parser.add_argument("--language", help="for wer and cer (en)")
    parser.add_argument("--out", type=Path, help="folder for scores.jsonl and summary.json")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score, print, write. Exit code 1 when some file could not be scored."""
    from amphion_eval.evaluation import evaluate, pair_folders

    texts = read_texts(args.text) if args.text else None
    items, missing = pair_folders(args.generated, args.ref, texts)
    metrics = _metrics(args.metrics, has_reference=args.ref is not None, has_text=texts is not None)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("evaluating", total=len(items))
        report = evaluate(
            items, metrics, tell=lambda: progress.advance(bar), recognizer=args.recognizer, language=args.language
        )
    for line in (*missing, *report.problems):
        print(f"not scored: {line}", file=sys.stderr)
    print(json.dumps(report.summary) if args.json else _table(report))
    if args.out:
        _write(args.out, report, missing)
        print(f"wrote {args.out / 'summary.json'} and scores.jsonl")
    return 1 if missing or report.problems else 0


def read_texts(path: Path) -> dict[str, str]:
    """id -> text of a file of ``id|text`` lines, or a csv or tsv with a header. Raises DataError with the line."""
    import csv

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    if path.suffix in (".csv", ".tsv") and lines and "|" not in lines[0]:
        rows = csv.DictReader(lines, delimiter="\t" if path.suffix == ".tsv" else ",")
        if not {"id", "text"} <= set(rows.fieldnames or ()):
            raise DataError(f"{path} has no columns id and text", hint="its first line is the header")
        return {row["id"]: row["text"] for row in rows}
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, bar, text = line.partition("|")
        if line.strip() and not bar:
            raise DataError(f"{path} line {number} has no |", hint="each line is id|text")
        if line.strip():
            texts[name.strip()] = text.rpartition("|")[2].strip()
    return texts


def _metrics(asked: str, *, has_reference: bool, has_text: bool) -> list[str]:
    """The names asked for; ``all`` are those whose inputs are there. Raises RegistryError, DataError."""
    given = {name for name, there in (("reference", has_reference), ("text", has_text)) if there}
    if asked == "all":
        found = [name for name in registry.names("metrics") if registry.get("metrics", name).needs <= given]
        if not found:
            raise DataError("every metric needs references or texts", hint="give --ref FOLDER or --text FILE")
        return found
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if lacking := registry.get("metrics", name).needs - given:
            option = "--ref FOLDER" if "reference" in lacking else "--text FILE"
            raise DataError(f"the metric {name} needs {' and '.join(sorted(lacking))}", hint=f"give {option}")
    return names


def _table(report: "Report") -> str:
    lines = [f"{'metric':10} {'value':>10} {'95 % interval':>20} {'median':>10} {'n':>5} {'failed':>6}"]
    for name, row in report.summary.items():
        better = {True: "higher is better", False: "lower is better", None: ""}[row["higher_is_better"]]
        if "value" in row:
            low, high = row["interval_95"]
            interval = f"{low:.3f} .. {high:.3f}"
            numbers = f"{row['value']:10.3f} {interval:>20} {row['median']:10.3f}"
        else:
            numbers = f"{'-':>10} {'-':>20} {'-':>10}"
        lines.append(f"{name:10} {numbers} {row['n']:5} {row['failed']:6}  {row['unit']} {better}".rstrip())
    return "\n".join(lines)


def _write(folder: Path, report: "Report", missing: list[str]) -> None:
    from amphion_core.files import atomic_write

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "scores.jsonl") as path:
        path.write_text("".join(json.dumps(row) + "\n" for row in report.rows), encoding="utf-8")
    whole = {"metrics": report.summary, "missing": missing, "problems": report.problems}
    with atomic_write(folder / "summary.json") as path:
        path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
