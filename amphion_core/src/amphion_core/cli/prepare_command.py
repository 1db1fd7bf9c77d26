"""Read a corpus into manifests, with a report of what was left out and why."""

import argparse
import json
import sys
from pathlib import Path

from amphion_core import registry
from amphion_core.errors import DataError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion prepare``."""
    parser.add_argument("dataset", help="the corpus's reader: amphion list datasets; folder reads any audio files")
    parser.add_argument("root", type=Path, help="folder of the corpus")
    parser.add_argument("out", type=Path, help="folder that gets the manifests")
    parser.add_argument("option", nargs="*", help="options of the reader, and longest=30 dev=0.05 split_by=speaker ...")
    parser.add_argument("--processes", type=int, help="processes to work with; default: all cores")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prepare, with progress; the last line says where the manifests are."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from amphion_core.config import validate
    from amphion_core.data.prepare import PrepareConfig, prepare
    from amphion_core.data.spread import default_processes
    from amphion_core.recipe import apply_override

    if not args.root.is_dir():
        raise DataError(f"there is no folder {args.root}", hint="amphion prepare READER ROOT OUT")
    reader = registry.find("datasets", args.dataset).load()
    values: dict[str, object] = {}
    for option in args.option:
        apply_override(values, option)
    ours = {key: values.pop(key) for key in [*values] if key in PrepareConfig.model_fields}
    config = validate(PrepareConfig, ours, where="amphion prepare")
    dataset = reader(validate(reader.Config, {"root": str(args.root), **values}, where=args.dataset))
    processes = args.processes or default_processes()
    columns = TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("reading", total=None)
        for done, total in prepare(dataset, args.root, args.out, config, processes=processes):
            progress.update(bar, completed=done, total=total)
    report = json.loads((args.out / "report.json").read_text(encoding="utf-8"))
    if args.json:
        print(json.dumps(report, ensure_ascii=False))
        return 0
    for name, split in report["splits"].items():
        speakers = f", {split['speakers']} speakers" if split["speakers"] else ""
        texts = f", {split['with_text']} with a text"
        print(f"{name}: {split['utterances']} utterances, {split['hours']:.2f} hours{speakers}{texts}")
    print("rates: " + ", ".join(f"{rate} Hz ({count})" for rate, count in report["rates"].items()))
    for reason, count in report["left_out"].items():
        first = next(item["path"] for item in report["items_left_out"] if item["reason"] == reason)
        print(f"left out, {reason}: {count}, such as {first}")
    if report["clipped"]:
        print(f"clipped, but kept: {report['clipped']}")
    for where, why in report["problems"][:5]:
        print(f"problem: {where}: {why}")
    print(f"manifests: {args.out}   (amphion train RECIPE data.root={args.out})")
    return 0
