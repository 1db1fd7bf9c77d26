"""List installed components: models, features, augmentations, tasks, metrics, frontends, and pretrained weights."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from itertools import groupby

from amphion_core import cards, registry
from amphion_core.cli.completion import complete
from amphion_core.errors import AmphionError

COMPONENTS = ("kind", "name", "from", "status", "what it is")
CARDS = ("card", "status", "title", "licence")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion list``."""
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(registry.BASES)}; by default all")
    parser.add_argument("pattern", nargs="?", default="*", help="names to show, such as 'vocoder/*'")
    parser.add_argument("--pretrained", action="store_true", help="show cards: named configurations and weights")
    parser.add_argument("--json", action="store_true", help="print JSON for another program")
    complete(parser, kind=("kinds",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line a component on a terminal, and tab-separated lines with all columns into a pipe."""
    columns: tuple[str, ...]
    if args.pretrained:
        pattern = args.kind if args.kind and args.kind not in registry.BASES else ""
        columns, rows = CARDS, [*_cards(pattern)]
    else:
        if args.kind and args.kind not in registry.BASES:
            near = f"amphion list models '{args.kind}'; " if "/" in args.kind else ""
            raise AmphionError(f"there is no kind {args.kind!r}", hint=f"{near}kinds: {', '.join(registry.BASES)}")
        columns, rows = COMPONENTS, [*_components(args.kind, args.pattern)]
    if args.json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
    elif not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in rows))
    else:
        lines = _card_lines(rows) if args.pretrained else _component_lines(rows)
        width = shutil.get_terminal_size().columns
        print("\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in lines))
    for note in cards.notes() if args.pretrained else ():
        print(f"note: {note}", file=sys.stderr)
    if not rows:
        wanted = args.kind if args.pretrained else args.pattern
        print(f"nothing installed matches {wanted or 'that'}; amphion list shows everything", file=sys.stderr)
    return 0


def _components(kind: str | None, pattern: str) -> Iterator[tuple[str, ...]]:
    for each in [kind] if kind else registry.BASES:
        wanted = set(registry.names(each, pattern))
        for ref in registry.refs(each):
            if ref.name in wanted:
                yield each, ref.name, f"{ref.dist} {ref.version}", ref.status, ref.summary


def _component_lines(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Each kind as a heading, below it a line a component. What keeps it from working stands before its summary."""
    for kind, group in groupby(rows, key=lambda row: row[0]):
        found = [*group]
        width = max(len(row[1]) for row in found)
        yield f"{kind}:"
        for _, name, _, status, summary in found:
            yield f"  {name:{width}}  {summary if status == 'ok' else f'({status}) {summary}'}"


def _cards(pattern: str) -> Iterator[tuple[str, ...]]:
    for card in cards.cards(pattern):
        yield card.name, card.status, card.title, card.licence


def _card_lines(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for name, status, title, licence in rows:
        yield f"{name:{widths[0]}}  {status:{widths[1]}}  {title}{f'; {licence}' if licence else ''}"
