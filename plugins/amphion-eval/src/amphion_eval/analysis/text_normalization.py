"""Prepare texts for word and character error rates, so that two spellings of the same speech are equal.

A text becomes a list of spans (see `amphion_eval.analysis.readings`). In English each form has every usual reading. In
other languages a number is its digits or, if num2words is installed and knows the language, its words; signs and
abbreviations of `other_languages` also have their words; all other words lose only case, punctuation and stress marks.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from amphion_core.errors import MissingPackage
from amphion_eval.analysis.english.readings import english_spans
from amphion_eval.analysis.other_languages import in_full, number_variants, word_names
from amphion_eval.analysis.readings import Span, distinct

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my"})
"""Languages written without spaces between words."""

_INVISIBLE = str.maketrans(dict.fromkeys("\u00ad\u200b\u2060\ufeff"))
_SPACE = "[\u00a0\u202f\u2009 ]"
_NUMBER = re.compile(
    rf"(?P<minus>(?<![\w.,])[-−])?(?P<whole>\d{{1,3}}(?:\.\d{{3}})+|\d{{1,3}}(?:,\d{{3}})+|\d{{1,3}}(?:{_SPACE}\d{{3}})+|\d+)"
    r"(?:[.,](?P<part>\d+))?(?!\d)"
)
_INSIDE = re.compile(r"[-/\u2010-\u2015]")  # a hyphen or slash inside a word separates two words
_KEPT_SIGNS = frozenset("%$£€¥")  # they are spoken


def spans_of(text: str, language: str, *, heard: bool) -> list[Span]:
    """The readings of a text. ``heard``: it is a recogniser's transcript, not the text to be spoken. Never raises.

    ``language`` is a code such as ``de`` or ``pt-BR``.

    >>> spans_of("It's 5!", "en", heard=False)
    [('its', 'it is', 'it has'), ('five',)]
    """
    if language.casefold().partition("-")[0] == "en":
        return english_spans(text, heard=heard)
    return [*_other_spans(text.translate(_INVISIBLE), language)]


def has_numbers() -> bool:
    """Whether num2words is installed, which writes numbers of other languages than English as words."""
    return find_spec("num2words") is not None


def whisper_normalized(text: str, language: str) -> str:
    """The text as the package whisper-normalizer prepares it: its English rules, or its basic ones elsewhere.

    Raises MissingPackage without the package.
    """
    return " ".join(_whisper_normalizer(language.casefold().partition("-")[0] == "en")(text).split())


def whisper_version() -> str:
    """The version of whisper-normalizer. Raises MissingPackage without it."""
    if find_spec("whisper_normalizer") is None:
        raise MissingPackage(
            "normalization=whisper needs the package whisper-normalizer",
            hint='pip install "amphion-eval[whisper-normalizer]"',
        )
    return version("whisper-normalizer")


@lru_cache(maxsize=2)
def _whisper_normalizer(is_english: bool) -> Any:
    whisper_version()
    if is_english:
        from whisper_normalizer.english import EnglishTextNormalizer

        return EnglishTextNormalizer()
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()


def _other_spans(text: str, language: str) -> Iterator[Span]:
    code = language.casefold().partition("-")[0]
    text = in_full(text, code)
    end = 0
    for found in _NUMBER.finditer(text):
        yield from _words(text[end : found.start()], code, after_number=end > 0)
        yield _number(found, language)
        end = found.end()
    yield from _words(text[end:], code, after_number=end > 0)


def _words(text: str, code: str, *, after_number: bool) -> Iterator[Span]:
    for position, word in enumerate(_plain(text).split()):
        names = word_names(word, code, after_number=position == 0 and after_number)
        yield (word, *map(_plain, names.split("|"))) if names else (word,)


def _plain(text: str) -> str:
    """Small letters and spaces, without punctuation and stress marks."""
    text = _INSIDE.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    text = unicodedata.normalize("NFKC", text)  # case folding may decompose
    kept = (
        f" {char} " if char in _KEPT_SIGNS else char
        for char in text
        if char.isspace() or char.isalnum() or char in _KEPT_SIGNS or unicodedata.category(char).startswith("M")
    )
    return "".join(kept).replace("\u0301", "")


def _number(found: re.Match[str], language: str) -> Span:
    """A number as digits, and in words: as a quantity, a rank and a year; as decimals where a mark may mean them."""
    whole, part = found["whole"], found["part"] or ""
    minus = "-" if found["minus"] else ""
    groups = [str(int(group)) if number == 0 else _ascii(group) for number, group in enumerate(re.split(r"\D", whole))]
    joined = _ascii(re.sub(r"\D", "", whole))
    readings = [f"{minus} {joined} {_ascii(part)}"]
    values = [f"{joined}.{_ascii(part)}" if part else joined]
    if len(groups) == 2 and not part and whole[len(groups[0])] in ".,":  # 1.500 may also be one and a half
        values.append(".".join(groups))
    for value in values:
        readings += _in_words(minus + value, language)
    return distinct(readings)


def _ascii(digits: str) -> str:
    return "".join(str(unicodedata.digit(digit)) for digit in digits)


@lru_cache(maxsize=4096)
def _in_words(value: str, language: str) -> tuple[str, ...]:
    if not has_numbers() or len(value) > 15:
        return ()
    from num2words import num2words

    code = language.casefold().partition("-")[0]
    kinds = ["cardinal"] if "." in value or value[0] == "-" else ["cardinal", "ordinal"]
    if len(value) == 4 and value.isdigit():
        kinds.append("year")
    found = []
    for kind in kinds:
        try:
            number = float(value) if "." in value else int(value)
            name = _plain(str(num2words(number, lang=language.replace("-", "_"), to=kind)))
            found += [name, *number_variants(name, code, is_rank=kind == "ordinal")]
        except Exception:  # num2words raises many types of error where a language lacks a form
            continue
    return tuple(found)
