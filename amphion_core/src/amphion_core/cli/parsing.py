"""Parses the words of a command: options and positional arguments in any order, in subcommands too.

argparse alone refuses ``train RECIPE -o RUN data.root=P``: it gives all positional arguments to the first group of
words, before ``-o``. Its own ``parse_intermixed_args`` allows any order, but not in a parser that has subcommands.
"""

import argparse
from collections.abc import Sequence


def parse(
    parser: argparse.ArgumentParser, words: Sequence[str], namespace: argparse.Namespace | None = None
) -> argparse.Namespace:
    """``words`` as arguments of ``parser``. Exits with code 2 and the usage for words that do not fit, as argparse."""
    words, namespace = [*words], namespace or argparse.Namespace()
    commands = next((each for each in parser._actions if isinstance(each, argparse._SubParsersAction)), None)
    if commands is None:
        if "--" in words or not _is_plain(parser):  # parse_intermixed_args would read "-h" after "--" as an option
            return parser.parse_args(words, namespace)
        return parser.parse_intermixed_args(words, namespace)
    if not words or words[0] not in commands.choices:  # --help, --version, or an error that argparse words well
        return parser.parse_args(words, namespace)
    _set_defaults(parser, namespace)
    if commands.dest != argparse.SUPPRESS:
        setattr(namespace, commands.dest, words[0])
    return parse(commands.choices[words[0]], words[1:], namespace)


def _is_plain(parser: argparse.ArgumentParser) -> bool:
    """Whether ``parse_intermixed_args`` takes the parser: no argument swallows all remaining words."""
    greedy = (argparse.REMAINDER, argparse.PARSER)
    exclusive = {id(each) for group in parser._mutually_exclusive_groups for each in group._group_actions}
    return not any(
        not each.option_strings and (each.nargs in greedy or id(each) in exclusive) for each in parser._actions
    )


def _set_defaults(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> None:
    """The defaults of a parser with subcommands, which argparse sets before it calls the subcommand's parser."""
    defaults = {each.dest: each.default for each in parser._actions} | parser._defaults
    for name, value in defaults.items():
        if argparse.SUPPRESS not in (name, value) and not hasattr(namespace, name):
            setattr(namespace, name, value)
