"""What a rule is, and what its replacement may look at beside the match."""

import re
from collections.abc import Callable

Replacement = str | Callable[[re.Match[str]], str]
Rule = tuple[str, Replacement]
"""A regular expression, and what replaces its matches."""


def before(match: re.Match[str], size: int) -> str:
    """Up to ``size`` characters before the match. Without a bound, the rules would take quadratic time."""
    return match.string[max(0, match.start() - size) : match.start()]


def after(match: re.Match[str], size: int) -> str:
    """Up to ``size`` characters after the match."""
    return match.string[match.end() : match.end() + size]


def apart(words: str, match: re.Match[str]) -> str:
    """The words, with a space where they would touch a letter or a digit."""
    return f"{' ' if before(match, 1).isalnum() else ''}{words}{' ' if after(match, 1).isalnum() else ''}"


def any_of(words: dict[str, str] | tuple[str, ...]) -> str:
    """A pattern that matches one of ``words``, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
