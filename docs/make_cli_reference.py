"""Write docs/reference/cli.md from the command line's own parser, so that the page always agrees with the program.

Run: python docs/make_cli_reference.py
"""

import argparse
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from amphion_core import registry
from amphion_core.cli.main import make_parser

PAGE = Path(__file__).parent / "reference" / "cli.md"
HEAD = """# Command line

Every subcommand of the four distributions of this repository, with its arguments. This page is generated from the
program. `amphion COMMAND --help` prints the same; `--debug` before or after a command shows the traceback of an
error. Options and other words may stand in any order. Exit codes: 0 done, 1 something failed, 2 bad input, 130
interrupted.
"""


def reference() -> str:
    """The page: one section for each subcommand, with a table of its arguments."""
    sources = {ref.name.replace("/", " "): ref.dist for ref in registry.refs("commands")}
    parts = [HEAD]
    for name, parser, about in subcommands(make_parser(None, every=True)):
        parts += section(name, parser, f"{about} *(from {sources[name]})*", depth=2)
    return "\n".join(parts)


def section(name: str, parser: argparse.ArgumentParser, about: str, *, depth: int) -> Iterator[str]:
    """The lines of one subcommand, and of the subcommands that it has."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", parser.format_usage())  # newer Pythons colour it on a terminal
    usage = " ".join(plain.removeprefix("usage:").split())
    yield f"{'#' * depth} amphion {name}\n"
    yield f"{about}\n"
    yield f"```text\n{textwrap.fill(usage, 92, subsequent_indent='    ')}\n```\n"
    if rows := [*arguments(parser)]:
        yield "| argument | meaning |\n| --- | --- |"
        yield from rows
        yield ""
    for child, below, its in subcommands(parser):
        yield from section(f"{name} {child}", below, its, depth=depth + 1)


def arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """One table row for each argument except help and subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else "")
        if action.option_strings:
            value = value or (action.dest.upper() if action.nargs != 0 else "")
            shown = ", ".join(action.option_strings) + (f" {value}" if value else "")
            note = "; required" if action.required else ""
        else:
            shown = str(value or action.dest)
            note = {"?": "; may be left out", "*": "; any number"}.get(str(action.nargs), "")
        help_ = (action.help or "") % {**vars(action), "prog": parser.prog}
        yield f"| `{shown.replace('|', chr(92) + '|')}` | {cell(help_)}{note} |"


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """The subcommands of ``parser``: name, parser, summary."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, below in action.choices.items():
                yield name, below, sentence(about.get(name) or below.description or "")


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop; doubled per cent signs become single."""
    text = text.replace("%%", "%").rstrip(".")
    return cell(f"{text[:1].upper()}{text[1:]}.")


def cell(text: str) -> str:
    """``text`` with the characters escaped that have a meaning in a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE}")
