"""``amphion``: finds the typed subcommand among the installed distributions and runs it."""

import argparse
import atexit
import gc
import io
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence

import amphion_core
from amphion_core import registry
from amphion_core.cli.parsing import Parser, parse
from amphion_core.errors import AmphionError
from amphion_core.system_errors import explained

GUIDE = "amphion doctor checks an installation; amphion list shows what is installed"


COLLECT_AFTER = 50_000  # new objects between two searches for unused ones; imports create many, and nearly all stay


def program() -> int:
    """``main`` as a whole process, which ends without freeing its objects one by one.

    When torch has been imported, the interpreter needs half a second for that. Before the process ends, other threads
    finish their work, functions registered with ``atexit`` run, and all output is written, as at every exit.
    """
    gc.set_threshold(COLLECT_AFTER)
    code = main()
    threading._shutdown()  # type: ignore[attr-defined]  # the interpreter calls these two functions in this order too
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the usual exit reports it
        return code
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    words = sys.argv[1:] if argv is None else [*argv]
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold bytes that the terminal cannot show
    if argv is None and not debug:  # as a program; in a library, warnings are shown as the caller wants
        warnings.showwarning = lambda message, *_: _complain(f"warning: {message}")
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


def make_parser(typed: str | None, *, every: bool = False, two_words: bool = True) -> Parser:
    """The parser with the ``typed`` subcommand's arguments; with ``every``, those of all installed subcommands.

    Without ``two_words`` it lacks commands such as ``eval listen``.
    """
    parser = Parser(
        prog="amphion", description="Generate speech, prepare data, train models, and evaluate audio.", epilog=GUIDE
    )
    parser.add_argument("--version", action="version", version=f"amphion-core {amphion_core.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", dest="command")
    for name in registry.names("commands"):
        if "/" in name and not two_words:
            continue
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
    if "_ARGCOMPLETE" in os.environ:
        _complete_line()
    words = joined(words)
    typed = next((word.replace(" ", "/") for word in words if not word.startswith("-")), None)
    if typed:
        registry.find("commands", typed)  # its error for an unknown name is better than argparse's
    parser = make_parser(typed)
    if typed is None and not words:
        parser.print_help()
        return 0
    args = parse(parser, words)
    if args.command is None:
        parser.error("which command?")
    return int(args.run(args) or 0)


def _complete_line() -> None:
    """Print what can follow the line that the shell completes, and exit."""
    import argcomplete

    from amphion_core.cli.completion import complete_second_word, prepare_line

    commands = registry.names("commands")
    typed = prepare_line(commands)
    parser = make_parser(typed, two_words=bool(typed and "/" in typed))
    if typed in commands:
        (choices,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        second = [name.partition("/")[2] for name in commands if name.startswith(f"{typed}/")]
        complete_second_word(choices[typed.replace("/", " ")], second)
    argcomplete.autocomplete(parser)


def _refuse(error: AmphionError) -> int:
    _complain(f"error: {error.message}", f"hint: {error.hint}" if error.hint else "")
    return 2


def _complain(*lines: str) -> None:
    for line in filter(None, lines):
        print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
