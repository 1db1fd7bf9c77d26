"""What Tab completes: names of components, cards, recipes and presets, where a command takes them."""

import argparse
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any


def complete(parser: argparse.ArgumentParser, **kinds: Sequence[str]) -> None:
    """Let Tab complete the values of arguments: ``complete(parser, model=("cards:tts", "paths"))``.

    Kinds are those of the registry and ``cards``, both also with a family as in ``models:vocoder``; ``recipes``;
    ``presets`` of mel conventions; ``kinds`` of components; ``paths`` of files and folders. Commas make a list.
    """
    for action in parser._actions:
        if action.dest in kinds:
            setattr(action, "completer", partial(_values, kinds[action.dest]))  # noqa: B010  argcomplete reads it


def prepare_line(commands: Sequence[str]) -> str | None:
    """Read the line that the shell completes and return the command in it, such as ``eval/listen``, or None.

    argparse knows a two-word command as one subcommand whose name has a space. The line that argcomplete reads from
    the environment is changed to match: the space gets a backslash.
    """
    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    words = line[:point].split(" ")[1:-1]  # the last word is still being typed
    if len(words) > 1 and "/".join(words[:2]) in commands:
        os.environ["COMP_LINE"] = line.replace(" ".join(words[:2]), "\\ ".join(words[:2]), 1)
        os.environ["COMP_POINT"] = str(point + 1)
        return "/".join(words[:2])
    return words[0] if words else None


def complete_second_word(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Let Tab complete ``words`` too as the first positional argument of a command: ``listen`` after ``eval``."""
    first = next((action for action in parser._actions if not action.option_strings), None)
    if first is None or not words:
        return
    before = getattr(first, "completer", None)

    def completer(prefix: str, **context: Any) -> list[str]:
        from argcomplete.completers import FilesCompleter

        return [word for word in words if word.startswith(prefix)] + (before or FilesCompleter())(prefix, **context)

    setattr(first, "completer", completer)  # noqa: B010


def _values(kinds: Sequence[str], prefix: str, **context: Any) -> list[str]:
    done, comma, typed = prefix.rpartition(",")
    found = [done + comma + name for kind in kinds for name in _names(kind) if name.startswith(typed)]
    if "paths" in kinds:
        from argcomplete.completers import FilesCompleter

        found += FilesCompleter()(prefix, **context)
    return found


def _names(kind: str) -> Iterator[str]:
    from amphion_core import registry

    kind, _, family = kind.partition(":")
    prefix = f"{family}/" if family else ""
    if kind == "cards":
        from amphion_core.cards import cards

        yield from (card.name for card in cards(prefix))
    elif kind == "recipes":
        from amphion_core.recipe import recipes

        yield from (path.stem for path, _, _ in recipes())
    elif kind == "presets":
        from amphion_core.mel import MelConfig

        yield from MelConfig.presets()
    elif kind == "kinds":
        yield from registry.BASES
    elif kind in registry.BASES:
        yield from (name for name in registry.names(kind) if name.startswith(prefix))
