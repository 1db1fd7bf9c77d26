"""Readings of a text: a sequence of spans, each with one or several ways to say it.

A reading is written as words with two marks: ``[and]`` may be left out, and ``(zero|oh)`` is one of several phrases.
Marks are not nested. A span is the tuple of the readings of one piece of the text; a plain word is a span with one
reading.

>>> spoken("(one|a) hundred [and] one")
((('one',), ('a',)), (('hundred',),), (('and',), ()), (('one',),))
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

Phrase = tuple[str, ...]
Slot = tuple[Phrase, ...]
"""Phrases, of which one is said."""
Span = tuple[str, ...]
"""Readings of one piece of a text, of which one is said."""

_PARTS = re.compile(r"\[([^\]]*)\]|\(([^)]*)\)|([^\s\[(]+)")


@lru_cache(maxsize=4096)
def spoken(reading: str) -> tuple[Slot, ...]:
    """The slots of one reading, in order."""
    slots: list[Slot] = []
    for optional, several, word in _PARTS.findall(reading):
        if word:
            slots.append(((word,),))
        elif several:
            slots.append(tuple(dict.fromkeys(tuple(phrase.split()) for phrase in several.split("|"))))
        elif optional:
            slots.append((tuple(optional.split()), ()))
    return tuple(slots)


def distinct(readings: Iterable[str]) -> Span:
    """The readings without repetitions, in order."""
    return tuple(dict.fromkeys(" ".join(reading.split()) for reading in readings))


def is_word(span: Span) -> bool:
    """Whether a span is one plain word."""
    return len(span) == 1 and span[0].isalnum()


def as_characters(spans: Sequence[Span], *, spaces: bool) -> list[Span]:
    """The same text with every character as a word. With ``spaces``, a ``_`` stands after each word.

    The ``_`` after the last word is there too, and one stands for a text without words, so that each text ends with it.
    """
    end = " _" if spaces else ""
    found: list[Span] = []
    for span in spans:
        found.append(tuple(_PARTS.sub(lambda part: _spelled(part, end), reading) for reading in span))
    return found if found or not spaces else [("_",)]


def _spelled(part: re.Match[str], end: str) -> str:
    def phrase(words: str) -> str:
        return " ".join(" ".join(word) + end for word in words.split())

    optional, several, word = part.groups()
    if word:
        return phrase(word)
    return f"[{phrase(optional)}]" if optional else f"({'|'.join(map(phrase, several.split('|')))})"
