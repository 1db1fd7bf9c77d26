"""Read a corpus into manifests, report what cannot be used, compute features, check texts against the audio."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from amphion_core import registry
from amphion_core.cli import prepare_features, prepare_text_check
from amphion_core.cli.completion import complete
from amphion_core.cli.parsing import process_count
from amphion_core.errors import DataError, RecipeError, counted, nearest
from amphion_core.files import path_hint

EPILOG = """examples:
  amphion prepare folder my_recordings prepared/voice
  amphion prepare ljspeech LJSpeech-1.1 prepared/ljspeech --features mel f0_dio --audio hifigan_22k_80
  amphion prepare prepared/voice --features '{name: f0_dio, fmin: 60}'
  amphion prepare prepared/voice --check-text"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion prepare``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "dataset",
        help="reader of the corpus (amphion list datasets; folder reads any audio files), or a prepared folder",
    )
    parser.add_argument("root", type=Path, nargs="?", help="folder of the corpus")
    parser.add_argument("out", type=Path, nargs="?", help="folder that gets the manifests")
    parser.add_argument(
        "option", nargs="*", default=[], help="options of the reader, and longest=30 dev=0.05 split_by=speaker ..."
    )
    parser.add_argument("--processes", type=process_count, help="number of processes; default: one for each core")
    parser.add_argument("--ray", action="store_true", help="work on the Ray cluster of RAY_ADDRESS, or on a local one")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    prepare_features.add_arguments(parser)
    prepare_text_check.add_arguments(parser)
    complete(parser, dataset=("datasets", "paths"), features=("features",), audio=("presets",), check_text=("metrics",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prepare, and compute features, with progress; the last line names the folder of the results."""
    from amphion_core.data.report import summary

    words, options = prepare_features.split_words(args.features, reader=args.root is not None)
    parts = prepare_features.parts_of(words, args.audio)
    if args.root is None and options:
        raise RecipeError(
            f"{options[0]} is neither a feature nor a field of one", hint="amphion list features shows the names"
        )
    if args.root is None:
        _require_prepared(args.dataset, bool(parts or args.check_text))
        folder, report = Path(args.dataset), {}
    else:
        folder, report = args.out, _prepare(args, [*args.option, *options])
    if not args.json and report:
        print("\n".join(summary(report)))
        print(f"manifests: {folder}   (amphion train RECIPE data.root={folder})")
    if parts:
        report["features"] = prepare_features.compute(
            folder, parts, cache=args.cache, device=args.device, processes=args.processes, ray=args.ray
        )
    if args.check_text:
        report["texts"] = prepare_text_check.run(folder, args.check_text, args.doubtful)
    if args.json:
        print(json.dumps(report, ensure_ascii=False))
    elif parts:
        found = report["features"]
        utterances = counted(found["utterances"], "utterance")
        names = f"{', '.join(found['names'])} of {utterances}, {found['computed']} computed now"
        print(f"features: {found['folder']}   ({names})")
    if args.check_text and not args.json:
        print("\n".join(prepare_text_check.lines(report["texts"])))
    return 0


def _require_prepared(folder: str, wanted: bool) -> None:
    """Raises DataError unless the only word names a prepared folder, and features or a check are wanted of it."""
    from amphion_core.data.manifest import ABOUT

    if not (Path(folder) / ABOUT).is_file():
        raise DataError(f"{folder} is not a prepared folder", hint="amphion prepare READER ROOT OUT")
    if not wanted:
        raise DataError(
            f"{folder} is prepared already",
            hint=f"amphion prepare {folder} --features mel f0_dio, or amphion prepare {folder} --check-text",
        )


def _prepare(args: argparse.Namespace, options: list[str]) -> dict[str, Any]:
    """Write the manifests, with progress; returns the report."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from amphion_core.config import validate
    from amphion_core.data.prepare import PrepareConfig, prepare
    from amphion_core.data.spread import default_processes
    from amphion_core.recipe import apply_override

    if args.out is None and Path(args.dataset).is_dir():
        raise RecipeError(
            f"the first word is the reader, and {args.dataset} is a folder",
            hint=f"amphion prepare folder {args.dataset} {args.root}",
        )
    if args.out is None:
        hint = f"amphion prepare {args.dataset} {args.root} prepared/{args.root.absolute().name}"
        raise RecipeError("the folder for the manifests is missing", hint=hint)
    reader = registry.find("datasets", args.dataset).load()
    if args.root.is_file():
        hint = f"amphion prepare {args.dataset} {args.root.parent} OUT"
        raise DataError(f"{args.root} is a file; a corpus is a folder", hint=hint)
    if not args.root.is_dir():
        raise DataError(f"there is no folder {args.root}", hint=path_hint(args.root, "amphion prepare READER ROOT OUT"))
    values: dict[str, object] = {}
    for option in options:
        apply_override(values, option)
    known = (*PrepareConfig.model_fields, *reader.Config.model_fields)
    meant = {key: key if key in known else nearest(key, known) for key in values}  # a mistyped option is refused below
    ours = {key: values.pop(key) for key in [*values] if meant[key] in PrepareConfig.model_fields}
    config = validate(PrepareConfig, ours, where="amphion prepare")
    dataset = reader(validate(reader.Config, {"root": str(args.root), **values}, where=args.dataset))
    processes = args.processes or default_processes()
    columns = TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("reading", total=None)
        for done, total in prepare(dataset, args.root, args.out, config, processes=processes, ray=args.ray):
            progress.update(bar, completed=done, total=total)
    report: dict[str, Any] = json.loads((args.out / "report.json").read_text(encoding="utf-8"))
    return report
