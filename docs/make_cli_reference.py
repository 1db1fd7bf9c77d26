"""Write docs/reference/cli.md from the command line's own parser, so that the page cannot differ from the program.

Run: python docs/make_cli_reference.py
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from amphion_core import registry
from amphion_core.cli.main import make_parser

PAGE = Path(__file__).parent / "reference" / "cli.md"
HEAD = """# Command line

Every subcommand that the four distributions of this repository bring, with its arguments. The page is made from the
program itself. `amphion COMMAND --help` prints the same; `--debug` before or after a command shows the traceback of an
error. Exit codes: 0 done, 1 something failed, 2 bad input, 130 interrupted.
"""


def reference() -> str:
    """The page: a section a subcommand, a table of its arguments in each."""
    os.environ |= {"COLUMNS": "100", "NO_COLOR": "1"}
    sources = {ref.name: ref.dist for ref in registry.refs("commands")}
    parts = [HEAD]
    for name, parser in subcommands(make_parser(None, every=True)):
        parts += section(name, parser, depth=2, dist=sources[name])
    return "\n".join(parts)


def section(name: str, parser: argparse.ArgumentParser, *, depth: int, dist: str = "") -> Iterator[str]:
    """The lines of one subcommand, and of its own subcommands one level below."""
    usage = parser.format_usage().removeprefix("usage: ").strip()
    yield f"{'#' * depth} amphion {name}\n"
    if parser.description:
        yield f"{parser.description}{f' *(from {dist})*' if dist else ''}\n"
    yield f"```text\n{usage}\n```\n"
    inner = [*subcommands(parser)]
    rows = [*arguments(parser)]
    if rows:
        yield "| argument | meaning |\n| --- | --- |"
        yield from rows
        yield ""
    for child, below in inner:
        yield from section(f"{name} {child}", below, depth=depth + 1)


def arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """One table row for each argument except help and subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else "")
        if action.option_strings:
            value = value or (action.dest.upper() if action.nargs != 0 else "")
            shown = ", ".join(action.option_strings) + (f" {value}" if value else "")
        else:
            shown = str(value or action.dest) + {"?": " (may be left out)", "*": " ..."}.get(str(action.nargs), "")
        help_ = (action.help or "") % {**vars(action), "prog": parser.prog}
        needed = "; required" if action.required and action.option_strings else ""
        yield f"| `{cell(shown)}` | {cell(help_)}{needed} |"


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parsers one level below, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def cell(text: str) -> str:
    """Text that a Markdown table shows as it is."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
