"""Parses the words of a command: options and positional arguments in any order, in subcommands too.

argparse alone refuses ``train RECIPE -o RUN data.root=P``: it gives all positional arguments to the first group of
words, before ``-o``. Its own ``parse_intermixed_args`` allows any order, but not in a parser that has subcommands. It
also stops at the first wrong word; here all wrong words are reported together.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amphion_core.errors import nearest


class Parser(argparse.ArgumentParser):
    """An argument parser that reports all problems of a command together."""

    problems: list[str] | None = None  # a list while words are parsed

    def error(self, message: str) -> Any:
        """Keep the message while words are parsed; otherwise exit with code 2, as argparse."""
        if self.problems is None:
            super().error(message)
        self.problems.append(message)

    def finish(self) -> None:
        """End the parsing: exit with code 2, the usage and all messages if there are any."""
        problems, self.problems = list(dict.fromkeys(self.problems or ())), None
        if any(": expected " in problem for problem in problems):  # argparse stopped there and read no further word
            problems = [problem for problem in problems if not problem.startswith("unrecognized")]
        if problems:
            self.print_usage(sys.stderr)
            hints = [hint for problem in problems for hint in self._hints(problem)]
            lines = [f"{self.prog}: error: {problem}" for problem in problems] + [f"hint: {hint}" for hint in hints]
            self.exit(2, "".join(f"{line}\n" for line in lines))

    def _hints(self, problem: str) -> list[str]:
        """What was perhaps meant by words that the command does not know."""
        unknown = problem.removeprefix("unrecognized arguments: ").split() if problem.startswith("unrecog") else []
        options = [word for word in self._option_string_actions if word.startswith("--")]
        found = []
        for word in unknown:
            name = word.partition("=")[0]
            if not name.startswith("-") or name in options:  # behind the word --, where no options are read
                continue
            if close := nearest(name, options):
                found.append(f"{name}: did you mean {close}?")
            elif "--control" in options:
                found.append(
                    f"{name}: is it a control of the model? --control {name.strip('-').replace('-', '_')}=VALUE"
                )
        if unknown and not any(word.startswith("-") for word in unknown):
            found.append("put a text or a path that has spaces in quotes")
        return found

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            if action.type is Path and not arg_string:  # it would mean the current folder, but is an unset variable
                raise argparse.ArgumentError(action, "the path is empty")
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            self.error(str(error))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            self.error(str(error))


def process_count(text: str) -> int:
    """The type of options such as ``--processes``: 1 to 128, or to the number of cores where there are more."""
    from amphion_core.data.spread import default_processes

    most = max(128, default_processes())
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text[:50]!r} is not a number from 1 to {most}")
    return int(text)


def parse(parser: Parser, words: Sequence[str], namespace: argparse.Namespace | None = None) -> argparse.Namespace:
    """``words`` as arguments of ``parser``. Exits with code 2 and the usage for words that do not fit, as argparse."""
    words, namespace = [*words], namespace or argparse.Namespace()
    commands = next((each for each in parser._actions if isinstance(each, argparse._SubParsersAction)), None)
    if commands is None:
        plain = "--" not in words and _is_plain(parser)  # parse_intermixed_args would read "-h" after "--" as an option
        parser.problems = []
        found = (parser.parse_intermixed_args if plain else parser.parse_args)(words, namespace)
        parser.finish()
        return found
    if not words or words[0] not in commands.choices:  # --help, --version, or an error that argparse words well
        return parser.parse_args(words, namespace)
    _set_defaults(parser, namespace)
    if commands.dest != argparse.SUPPRESS:
        setattr(namespace, commands.dest, words[0])
    return parse(commands.choices[words[0]], words[1:], namespace)


def _is_plain(parser: Parser) -> bool:
    """Whether ``parse_intermixed_args`` takes the parser: no argument swallows all remaining words."""
    greedy = (argparse.REMAINDER, argparse.PARSER)
    exclusive = {id(each) for group in parser._mutually_exclusive_groups for each in group._group_actions}
    return not any(
        not each.option_strings and (each.nargs in greedy or id(each) in exclusive) for each in parser._actions
    )


def _set_defaults(parser: Parser, namespace: argparse.Namespace) -> None:
    """The defaults of a parser with subcommands, which argparse sets before it calls the subcommand's parser."""
    defaults = {each.dest: each.default for each in parser._actions} | parser._defaults
    for name, value in defaults.items():
        if argparse.SUPPRESS not in (name, value) and not hasattr(namespace, name):
            setattr(namespace, name, value)
