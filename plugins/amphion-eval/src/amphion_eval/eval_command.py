"""Evaluate generated audio by metrics, compare systems, and write a report page."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import registry
from amphion_core.cli.completion import complete
from amphion_core.cli.parsing import process_count
from amphion_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from amphion_eval.evaluation.measuring import Parts
    from amphion_eval.evaluation.pairing import Paired
    from amphion_eval.evaluation.report import Report

EPILOG = """examples:
  amphion eval generated/ --ref recordings/ --text texts.txt -o scores/
  amphion eval system_a/ system_b/ --ref recordings/ --metrics pesq_wb,mcd -o scores/
  amphion eval generated/ --ref recordings/ --metrics fad --set fad.embedding=clap
a listening test: amphion eval listen --help"""
GENERATED = "for each system a folder of audio files or one file; or a .jsonl of scores, from amphion eval or VERSA"
SHOWN = 5  # files of each reason that the console names
SLOW = 10  # seconds after which the summary says which metric took the time
OPTIONS = {"reference": "--ref", "prompt": "--prompt", "resynthesis": "--resynthesis", "text": "--text"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion eval``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("generated", type=Path, nargs="*", help=GENERATED)
    inputs = parser.add_argument_group("what the audio is compared with")
    inputs.add_argument("--ref", type=Path, help="folder (or file) of the reference recordings, with the same names")
    inputs.add_argument("--prompt", type=Path, help="prompts of zero-shot synthesis, with the same names; for sim_o")
    inputs.add_argument(
        "--resynthesis", type=Path, help="prompts after the system's codec, with the same names; for sim_r"
    )
    inputs.add_argument("--text", type=Path, help="texts to be spoken: lines id|text, or csv/tsv with columns id, text")
    inputs.add_argument(
        "--pairs",
        type=Path,
        help="instead of folders: csv/tsv with columns generated, reference, text, id, system, ...",
    )
    measures = parser.add_argument_group("what is measured")
    measures.add_argument(
        "--metrics", default="all", help="names with commas between, or all; see amphion list metrics"
    )
    measures.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="METRIC.FIELD=VALUE",
        help="set a field of a metric; see amphion info METRIC",
    )
    measures.add_argument(
        "--definition",
        choices=["ours", "amphion_v01"],
        help="amphion_v01: comparable with the tables of the paper",
    )
    measures.add_argument(
        "--recognizer", help="for wer and cer: a name from amphion list recognizers, or a model of Whisper"
    )
    measures.add_argument("--language", help="language code of the texts; default en")
    how = parser.add_argument_group("how it runs")
    how.add_argument("--workers", type=process_count, help="number of processes; default: the number of cores")
    how.add_argument("--ray", action="store_true", help="use the Ray cluster at RAY_ADDRESS; needs amphion-core[ray]")
    how.add_argument("-o", "--out", type=Path, help="folder for report.html, scores.jsonl, summary.json and the tables")
    how.add_argument("--json", action="store_true", help="print the summary as JSON")
    complete(parser, metrics=("metrics",), recognizer=("recognizers", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print and write the results. Returns exit code 1 if something could not be scored."""
    from amphion_eval.evaluation.pairing import audio_files
    from amphion_eval.evaluation.stored import read_scores

    systems = _systems(args)
    stored = [row for path in args.generated if path.suffix == ".jsonl" for row in read_scores(path)]
    items = [item for found, _ in systems.values() for item in found]
    given = {role for role in OPTIONS if any(getattr(item, role) is not None for item in items)}
    given |= {"reference"} if args.ref else set()
    parts = _parts(args, given) if systems else ()
    references = [*audio_files(args.ref).values()] if args.ref else None
    if args.out:
        _create(args.out)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from amphion_core.data.spread import default_processes
    from amphion_eval.evaluation.run import evaluate

    workers = args.workers or min(default_processes(), max(1, len(items) // 8))  # a process takes seconds to start
    columns = TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=None)
        report = evaluate(
            {system: items for system, (items, _) in systems.items()}, parts, stored=stored, folder=args.out,
            references=references, workers=workers, ray=args.ray, lenient=args.metrics == "all",
            on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )  # fmt: skip
    report.missing |= {system: missing for system, (_, missing) in systems.items() if missing}
    _print_problems(report)
    print(json.dumps(_plain(report)) if args.json else table(report))
    if args.out:
        print(f"wrote {_write(args.out, report)}")
    return 1 if report.problems else 0


def _systems(args: argparse.Namespace) -> "dict[str, Paired]":
    from amphion_eval.evaluation.pairing import pair_folders, read_pairs
    from amphion_eval.evaluation.texts import read_texts

    if bool(args.generated) == bool(args.pairs):
        raise DataError("give either folders of generated audio or --pairs FILE", hint="amphion eval --help")
    if args.pairs:
        return read_pairs(args.pairs)
    texts = read_texts(args.text) if args.text else None
    compared = {"reference": args.ref, "prompt": args.prompt, "resynthesis": args.resynthesis}
    as_sets = args.metrics != "all" and all(registry.get("metrics", name).of_sets for name in _listed(args.metrics))
    names = [path.stem if path.is_file() else Path(os.path.realpath(path)).name for path in args.generated]
    if len({*names}) < len(names):  # same folder name in different parents, as a/wavs and b/wavs
        names = [str(path) for path in args.generated]
    if len({*names}) < len(names):
        raise DataError("a folder is given twice", hint="give each folder once")
    return {
        name: pair_folders(path, compared, texts, as_sets=as_sets)
        for name, path in zip(names, args.generated)
        if path.suffix != ".jsonl"
    }


def _parts(args: argparse.Namespace, given: set[str]) -> "Parts":
    """The metrics that --metrics names; ``all`` means every metric whose inputs are given.

    Raises RegistryError, DataError, RecipeError.
    """
    from amphion_eval.evaluation.run import plan

    if args.metrics == "all":
        names = [name for name in registry.names("metrics") if registry.get("metrics", name).needs <= given]
    else:
        names = _listed(args.metrics)
        for name in names:
            if absent := registry.get("metrics", name).needs - given:
                options = " and ".join(
                    f"{OPTIONS[need]} {'FILE' if need == 'text' else 'FOLDER'}" for need in sorted(absent)
                )
                raise DataError(f"the metric {name} needs {' and '.join(sorted(absent))}", hint=f"give {options}")
    shared: dict[str, Any] = {"definition": args.definition, "language": args.language}
    if args.recognizer:
        known = args.recognizer in registry.names("recognizers")
        shared["recognizer"] = args.recognizer if known else {"name": "faster_whisper", "model": args.recognizer}
    return plan(names, _settings(args.set, names), **shared)


def _listed(metrics: str) -> list[str]:
    return [name.strip() for name in metrics.split(",") if name.strip()]


def _settings(words: list[str], metrics: list[str]) -> dict[str, dict[str, Any]]:
    """The words of --set, each METRIC.FIELD=VALUE. Raises DataError for a word without a metric or a field."""
    from amphion_core.recipe import apply_override

    settings: dict[str, Any] = {}
    for word in words:
        apply_override(settings, word)
    for label, value in settings.items():
        if not isinstance(value, dict):
            meant = f"{label}.FIELD" if label in metrics else f"{next(iter(metrics), 'wer')}.{label}"
            raise DataError(
                f"--set {label}={value} does not name a metric and a field",
                hint=f"a setting begins with its metric: --set {meant}={value}",
            )
    return settings


def table(report: "Report") -> str:
    """The summary as text: a line per metric and system, then the significant differences of systems."""
    from amphion_eval.pages.tables import SIGNIFICANT

    systems = list(report.summary)
    heads = ["metric", *(["system"] if len(systems) > 1 else []), "value", "95 % interval", "median", "n", "failed", ""]
    rows = [heads]
    for label, about in report.metrics.items():
        better = {True: "higher is better", False: "lower is better", None: ""}[about["higher_is_better"]]
        title = f"{label} ({about['variant']})" if about["variant"] else label
        for system in systems:
            found = report.summary[system][label]
            span = found.get("interval_95")
            numbers = [
                f"{found['value']:.3f}" if "value" in found else "-",
                f"{span[0]:.3f} .. {span[1]:.3f}" if span else "-",
                f"{found['median']:.3f}" if "median" in found else "-",
            ]
            counts = [str(found["n"]), str(found["failed"])]
            name = [system] if len(systems) > 1 else []
            rows.append([title, *name, *numbers, *counts, f"{about['unit']} {better}".strip()])
    widths = [max(map(len, column)) for column in zip(*rows)]
    words = len(heads) - 6  # columns of words are aligned left, numbers right
    lines = [
        "  ".join(
            f"{cell:<{width}}" if column < words or column == len(heads) - 1 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]
    for row in report.comparisons:
        if row["p_corrected"] < SIGNIFICANT:
            sign = "above" if row["difference"] > 0 else "below"
            gap = f"{abs(row['difference']):.3f} {sign}"
            lines.append(f"{row['metric']}: {row['a']} is {gap} {row['b']}, corrected p = {row['p_corrected']:.2g}")
    return "\n".join([*lines, *_times(report.about.get("seconds", {}))])


def _times(seconds: "Mapping[str, float]") -> "Iterator[str]":
    """A line that says which metrics took the time, if there are several and they took ten seconds or more."""
    total = sum(seconds.values())
    if total >= SLOW and len(seconds) > 1:
        shares = [f"{label} {100 * taken / total:.0f} %" for label, taken in seconds.items() if taken >= 0.05 * total]
        yield f"time: {', '.join(shares)} of {total:.0f} seconds, summed over the processes"


def _print_problems(report: "Report") -> None:
    for label, why in report.unavailable.items():
        print(f"skipped: {label}: {why}", file=sys.stderr)
    for line in _few_of_each(report.problems):
        print(f"not scored: {line}", file=sys.stderr)
    for row in report.rows:
        for warning in row.get("warnings", ()):
            print(f"warning: {row['system']}: {row['id']}: {warning}", file=sys.stderr)


def _few_of_each(problems: "Sequence[str]") -> "Iterator[str]":
    """The first problems of each system and reason, then how many more there are; all are in the report."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in problems:
        groups.setdefault((line.partition(": ")[0], line.rpartition(": ")[2]), []).append(line)
    for (system, reason), lines in groups.items():
        yield from lines[:SHOWN]
        if len(lines) > SHOWN:
            yield f"{system}: {len(lines) - SHOWN} more: {reason} (-o FOLDER writes a report with all)"


def _plain(report: "Report") -> dict[str, Any]:
    from amphion_eval.evaluation.report import finite

    return finite({"metrics": report.metrics, "systems": report.summary, "comparisons": report.comparisons})


def _create(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be created: {error.strerror}", hint="give another folder: -o FOLDER"
        ) from error


def _write(folder: Path, report: "Report") -> Path:
    from amphion_core.files import atomic_write
    from amphion_eval.evaluation.stored import write_versa
    from amphion_eval.pages.report import write_page
    from amphion_eval.pages.tables import latex, markdown

    report.write(folder)
    (folder / "versa").mkdir(exist_ok=True)
    for system in report.summary:
        rows = [row for row in report.rows if row["system"] == system]
        write_versa(folder / "versa" / f"{Path(system).name}.jsonl", rows)
    for name, text in (("table.md", markdown(report)), ("table.tex", latex(report))):
        with atomic_write(folder / name) as path:
            path.write_text(text, encoding="utf-8")
    return write_page(folder / "report.html", report)
