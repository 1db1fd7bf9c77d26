"""The symbol table of a text frontend, collected from the texts of a corpus where its config leaves it empty."""

from collections.abc import Iterable

from amphion_core.errors import DataError
from amphion_core.parts import FrontendPart


def frontend_with_symbols(part: FrontendPart, texts: Iterable[str]) -> FrontendPart:
    """``part`` with the symbols of ``texts``, sorted, after its blank, begin and end; unchanged if it states symbols.

    Raises DataError when the texts give no symbol, or when one of them cannot be read.
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
