"""Fit texts to the symbol table of a frontend, or collect the table from a corpus if the config leaves it empty."""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from amphion_core.errors import DataError
from amphion_core.parts import FrontendPart

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


def frontend_with_symbols(part: FrontendPart, texts: Iterable[str]) -> FrontendPart:
    """Fill the empty symbol table of a frontend: its blank, begin and end, then the sorted symbols of ``texts``.

    A frontend that already has symbols is returned unchanged. Raises DataError if the texts contain no symbol, and the
    errors of the frontend for a text that it cannot process.
    """
    config = part.config
    if config.symbols:  # type: ignore[attr-defined]
        return part
    frontend = part.build()
    found: set[str] = set()
    for text in texts:
        if text:
            found.update(frontend.tokens(text))
    if not found:
        raise DataError(
            "the corpus has no texts to collect the symbols from", hint="prepare it with texts, or state symbols"
        )
    marks = dict.fromkeys(filter(None, (frontend.config.blank, frontend.config.begin, frontend.config.end)))
    return FrontendPart(part.name, config.replace(symbols=[*marks, *sorted(found - {*marks})]))


def in_table_forms(text: str, known: Collection[str], forms: Sequence[Form] = ("NFC", "NFD")) -> str:
    """``text`` with each letter and its marks in the first Unicode normal form whose code points are all ``known``.

    So a composed and a decomposed "ç" both become what the table has. Where no form is known, as many marks as possible
    go into a known form, and the others follow in the first form.
    """
    return "".join(_fitted(cluster, known, forms) for cluster in _clusters(text))


def _fitted(cluster: str, known: Collection[str], forms: Sequence[Form]) -> str:
    if cluster.isascii():
        return cluster
    decomposed = unicodedata.normalize("NFD", cluster)
    for end in range(len(decomposed), 0, -1):
        for form in forms:
            written = unicodedata.normalize(form, decomposed[:end])
            if all(char in known for char in written):
                return written + decomposed[end:]
    return unicodedata.normalize(forms[0], cluster)


def _clusters(text: str) -> Iterator[str]:
    """Each character of ``text`` with the combining marks that follow it."""
    start = 0
    for index in range(1, len(text)):
        if not unicodedata.category(text[index]).startswith("M"):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def described(chars: Iterable[str], most: int = 5) -> str:
    """Characters with their Unicode names, for messages: ``'ж' (U+0436 CYRILLIC SMALL LETTER ZHE)``."""
    unique = list(dict.fromkeys(chars))
    shown = []
    for char in unique[:most]:
        code = f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip()
        mark = unicodedata.category(char).startswith("M")  # would join the quotation mark
        shown.append(code if mark else f"{char!r} ({code})")
    more = f" and {len(unique) - most} more" if len(unique) > most else ""
    return ", ".join(shown) + more
