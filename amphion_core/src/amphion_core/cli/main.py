"""``amphion``: finds the typed subcommand among the installed distributions and runs it."""

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

import amphion_core
from amphion_core import registry
from amphion_core.cli.parsing import parse
from amphion_core.errors import AmphionError
from amphion_core.system_errors import explained

GUIDE = "amphion doctor checks an installation; amphion list shows what is installed"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    words = sys.argv[1:] if argv is None else [*argv]
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold bytes that the terminal cannot show
    try:
        return _run(words)
    except AmphionError as error:
        if debug:
            traceback.print_exc()
        return _refuse(error)
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:  # the program that reads our output has ended, which is not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        if (clear := explained(error)) is not None:
            return _refuse(clear)
        _complain(f"error: unexpected {type(error).__name__}: {error}", "hint: run it again with --debug for details")
        return 1


def make_parser(typed: str | None, *, every: bool = False) -> argparse.ArgumentParser:
    """The parser with the ``typed`` subcommand's arguments; with ``every``, those of all installed subcommands."""
    parser = argparse.ArgumentParser(
        prog="amphion", description="Generate speech, prepare data, train models, and evaluate audio.", epilog=GUIDE
    )
    parser.add_argument("--version", action="version", version=f"amphion-core {amphion_core.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", dest="command")
    for name in registry.names("commands"):
        summary = next(ref.summary for ref in registry.refs("commands") if ref.name == name)
        sub = commands.add_parser(name.replace("/", " "), help=summary.replace("%", "%%"), description=summary)
        if every or name == typed:
            registry.get("commands", name)(sub)
    return parser


def joined(words: Sequence[str]) -> list[str]:
    """``words`` with the two words of a command such as ``eval listen`` as one; plugins announce it as eval/listen."""
    index = next((index for index, word in enumerate(words) if not word.startswith("-")), len(words))
    pair = words[index : index + 2]
    if len(pair) < 2 or "/".join(pair) not in registry.names("commands"):
        return [*words]
    return [*words[:index], " ".join(pair), *words[index + 2 :]]


def _run(words: list[str]) -> int:
    completing = "_ARGCOMPLETE" in os.environ
    # sys.argv is empty while a shell completes
    words = os.environ.get("COMP_LINE", "").split()[1:] if completing else joined(words)
    typed = next((word.replace(" ", "/") for word in words if not word.startswith("-")), None)
    if typed and not completing:
        registry.find(
            "commands", typed
        )  # an unknown name, or one of two plugins, gets a better message than argparse's
    parser = make_parser(typed)
    if completing:
        import argcomplete

        argcomplete.autocomplete(parser)
    if typed is None and not words:
        parser.print_help()
        return 0
    args = parse(parser, words)
    if args.command is None:
        parser.error("which command?")
    return int(args.run(args) or 0)


def _refuse(error: AmphionError) -> int:
    _complain(f"error: {error.message}", f"hint: {error.hint}" if error.hint else "")
    return 2


def _complain(*lines: str) -> None:
    for line in filter(None, lines):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
