"""Normalise texts for word and character error rates, so that two spellings of the same words are equal."""

import re
import unicodedata
from importlib.util import find_spec

from amphion_core.text import clean, normalize_english

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my"})
"""Languages written without spaces between words."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_INSIDE = re.compile(r"[-/\u2010-\u2015]")  # a hyphen or slash inside a word separates two words


def normalized(text: str, language: str) -> str:
    """The text in lower case, with single spaces between words, without punctuation and stress marks.

    Numbers are written as words: in English by `amphion_core.text`, in other languages by num2words if it is installed
    and supports the language; otherwise digits are kept. ``language`` is a code such as ``de`` or ``pt-BR``. Never
    raises.

    >>> normalized("It's the 3rd of May!", "en")
    'its the third of may'
    """
    text = unicodedata.normalize("NFKC", text)
    text = normalize_english(text) if language.startswith("en") else _spoken_numbers(clean(text), language)
    text = _INSIDE.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    kept = (char for char in text if char.isspace() or char.isalnum() or unicodedata.category(char).startswith("M"))
    return " ".join("".join(kept).replace("\u0301", "").split())


def has_numbers() -> bool:
    """Whether num2words is installed, which writes numbers of other languages than English as words."""
    return find_spec("num2words") is not None


def _spoken_numbers(text: str, language: str) -> str:
    if not _NUMBER.search(text) or not has_numbers():
        return text
    from num2words import num2words

    def spoken(found: re.Match[str]) -> str:
        try:
            return f" {num2words(found[0].replace(',', '.'), lang=language)} "
        except (NotImplementedError, ValueError, OverflowError, ArithmeticError):
            return found[0]

    return _NUMBER.sub(spoken, text)
