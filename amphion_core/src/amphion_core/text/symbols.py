"""Collect the symbol table of a text frontend from the texts of a corpus, if its config leaves the table empty."""

from collections.abc import Iterable

from amphion_core.errors import DataError
from amphion_core.parts import FrontendPart


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
