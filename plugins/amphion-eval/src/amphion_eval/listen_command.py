"""Make a blind listening test as one HTML page, or read the answers of listeners into a table."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from amphion_core.errors import DataError

if TYPE_CHECKING:
    from amphion_eval.pages.opinions import Outcome

EPILOG = """examples:
  amphion eval listen system_a/ system_b/ --ref recordings/ -o test.html
  amphion eval listen system_a/ system_b/ --kind ab -o test.html
  amphion eval listen test.key.json --answers answers-*.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion eval listen``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("systems", type=Path, nargs="+", help="a folder per system; with --answers, the key of a page")
    making = parser.add_argument_group("making a page")
    making.add_argument("--ref", type=Path, help="recordings: a hidden system in mos, the reference voices in smos")
    making.add_argument(
        "--kind",
        choices=["mos", "smos", "ab"],
        default="mos",
        help="mos: naturalness, smos: same speaker, ab: preference",
    )
    making.add_argument("--samples", type=int, default=10, help="number of clips of each system; default 10")
    making.add_argument("--seed", type=int, default=0, help="chooses the clips at random; default 0")
    making.add_argument("--max-mb", type=float, default=100, help="largest size of the page in MiB; default 100")
    reading = parser.add_argument_group("reading answers")
    reading.add_argument("--answers", type=Path, nargs="+", help="the files that listeners sent back")
    reading.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("-o", "--out", type=Path, help="the page (listening.html); with --answers, a JSON file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make a page or read answers. Returns exit code 1 if a clip is not used or an answer is not counted."""
    return _read(args) if args.answers else _make(args)


def _make(args: argparse.Namespace) -> int:
    from amphion_core.files import check_writable
    from amphion_eval.evaluation.pairing import audio_files
    from amphion_eval.pages.listening import key_of, make_page

    out = args.out or Path("listening.html")
    check_writable(out)
    for path in (out, key_of(out)):
        if path.exists():
            raise DataError(
                f"{path} exists already: answers of its listeners can be read with its key only",
                hint=f"choose another page with -o, or remove {out} and {key_of(out)} first",
            )
    for name, fits in (("--samples", args.samples >= 1), ("--seed", args.seed >= 0), ("--max-mb", args.max_mb > 0)):
        if not fits:
            raise DataError(f"{name} is too small", hint="amphion eval listen --help")
    if args.systems[0].suffix == ".json":
        raise DataError(f"{args.systems[0]} is a key, but --answers is missing", hint="give --answers FILE ...")
    systems = {path.resolve().name: audio_files(path) for path in args.systems}
    if len(systems) < len(args.systems):
        raise DataError("two folders have the same name", hint="rename one of them")
    references = audio_files(args.ref) if args.ref else None
    page, key, unused = make_page(
        out, systems, kind=args.kind, references=references, samples=args.samples, seed=args.seed,
        max_bytes=int(args.max_mb * 2**20),
    )  # fmt: skip
    for line in unused:
        print(f"not used: {line}", file=sys.stderr)
    print(f"wrote {page} for the listeners and {key}, which you keep")
    return 1 if unused else 0


def _read(args: argparse.Namespace) -> int:
    from amphion_core.files import atomic_write
    from amphion_eval.pages.opinions import read_answers

    if len(args.systems) > 1:
        raise DataError("answers can be read with one key only", hint="amphion eval listen KEY.json --answers FILE ...")
    outcome = read_answers(args.systems[0], args.answers)
    for line in outcome.problems:
        print(f"not counted: {line}", file=sys.stderr)
    plain = json.dumps({"kind": outcome.kind, "listeners": outcome.listeners, "rows": outcome.rows,
                        "differences": outcome.differences, "problems": outcome.problems}, indent=1)  # fmt: skip
    print(plain if args.json else table(outcome))
    if args.out:
        with atomic_write(args.out) as path:
            path.write_text(plain + "\n", encoding="utf-8")
        print(f"wrote {args.out}")
    return 1 if outcome.problems else 0


def table(outcome: "Outcome") -> str:
    """The opinions as text: a line per system, or per pair of systems."""
    if outcome.kind == "ab":
        lines = [f"{'pair':30} {'first':>6} {'second':>6} {'neither':>7}  share of the first"]
        for row in outcome.rows:
            share = "-"
            if "share_a" in row:
                low, high = row["interval_95"]
                share = f"{row['share_a']:.2f} ({low:.2f} to {high:.2f}), p = {row['p']:.3g}"
            pair = f"{row['a']}, {row['b']}"
            lines.append(f"{pair:30} {row['prefer_a']:6} {row['prefer_b']:6} {row['no_preference']:7}  {share}")
        return "\n".join(lines)
    lines = [f"{'system':24} {outcome.kind.upper():>5} {'95 % interval':>16} {'listeners':>9} {'ratings':>7}"]
    for row in outcome.rows:
        low, high = row["interval_95"]
        span = f"{low:.2f} to {high:.2f}"
        lines.append(f"{row['system']:24} {row['mean']:5.2f} {span:>16} {row['listeners']:9} {row['ratings']:7}")
    for row in outcome.differences:
        low, high = row["interval_95"]
        lines.append(f"{row['a']} - {row['b']}: {row['difference']:.2f} ({low:.2f} to {high:.2f})")
    return "\n".join(lines)
