"""List installed components: models, features, augmentations, tasks, metrics, frontends, and pretrained weights."""

import argparse
import json
import sys
from collections.abc import Iterator

from amphion_core import cards, registry
from amphion_core.errors import AmphionError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion list``."""
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(registry.BASES)}; by default all")
    parser.add_argument("pattern", nargs="?", default="*", help="names to show, such as 'vocoder/*'")
    parser.add_argument("--pretrained", action="store_true", help="show cards: named configurations and weights")
    parser.add_argument("--json", action="store_true", help="print JSON for another program")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table on a terminal, and tab-separated lines with whole names into a pipe."""
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    if args.pretrained:
        pattern = args.kind if args.kind and args.kind not in registry.BASES else ""
        columns, rows = ("card", "status", "title", "licence"), [*_cards(pattern)]
    else:
        if args.kind and args.kind not in registry.BASES:
            near = f"amphion list models '{args.kind}'; " if "/" in args.kind else ""
            raise AmphionError(f"there is no kind {args.kind!r}", hint=f"{near}kinds: {', '.join(registry.BASES)}")
        columns, rows = ("kind", "name", "from", "status", "what it is"), [*_components(args.kind, args.pattern)]
    if args.json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2))
    elif not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in rows))
    else:
        _table(columns, rows)
    for note in cards.notes() if args.pretrained else ():
        print(f"note: {note}", file=sys.stderr)
    return 0


def _components(kind: str | None, pattern: str) -> Iterator[tuple[str, ...]]:
    for each in [kind] if kind else registry.BASES:
        wanted = set(registry.names(each, pattern))
        for ref in registry.refs(each):
            if ref.name in wanted:
                yield each, ref.name, f"{ref.dist} {ref.version}", ref.status, ref.summary


def _cards(pattern: str) -> Iterator[tuple[str, ...]]:
    for card in cards.cards(pattern):
        yield card.name, card.status, card.title, card.licence


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("name", "kind", "card"))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console().print(table)
