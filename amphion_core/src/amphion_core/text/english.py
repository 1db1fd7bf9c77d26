"""Write English numbers, dates, money, units and abbreviations as words.

Used before pronunciations are looked up, and for word error rates, where "3rd" and "third" must be the same word.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from amphion_core.text.sentences import clean, plain_marks

_TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "prof": "professor", "st": "saint", "rev": "reverend",
    "gen": "general", "col": "colonel", "sgt": "sergeant", "capt": "captain", "lt": "lieutenant", "hon": "honorable",
}  # fmt: skip
_ABBREVIATIONS = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "jr": "junior", "sr": "senior",
    "approx": "approximately", "dept": "department", "inc": "incorporated", "ltd": "limited", "corp": "corporation",
}  # fmt: skip
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_UNITS = {
    "km/h": "kilometer per hour", "mph": "mile per hour", "km": "kilometer", "cm": "centimeter", "mm": "millimeter",
    "m": "meter", "kg": "kilogram", "mg": "milligram", "g": "gram", "kHz": "kilohertz", "Hz": "hertz",
    "ms": "millisecond", "s": "second", "min": "minute", "h": "hour", "lb": "pound", "lbs": "pound", "ft": "foot",
    "l": "liter", "ml": "milliliter", "°C": "degree celsius", "°F": "degree fahrenheit", "°": "degree",
    "GB": "gigabyte", "MB": "megabyte", "kW": "kilowatt", "W": "watt", "V": "volt", "dB": "decibel",
}  # fmt: skip
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DAY = rf"\b({'|'.join(_MONTHS)})\s+"
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent"), "¥": ("yen", "")}
_SCALES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion", "tn": "trillion"}
_SCALE_WORD = r"thousand|million|billion|trillion"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_ROMAN_NOUNS = r"chapter|part|volume|act|scene|book|section|world war|appendix|phase|type|class"
_RULERS = r"henry|louis|george|charles|edward|elizabeth|james|john|paul|richard|william|pius|benedict|napoleon|philip"


def normalize_english(text: str) -> str:
    """Write digits, symbols and abbreviations in ``text`` as words; punctuation and case are kept.

    >>> normalize_english("Dr. Smith paid $3.50 on the 3rd of May 1984.")
    'doctor Smith paid three dollars and fifty cents on the third of May nineteen eighty-four.'
    """
    text = plain_marks(clean(text)).replace("⁄", "/")
    text = re.sub(r"[^\x00-\x7f]", _ascii_digit, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\d+", lambda match: _digits(match[0]), text)  # digits that no rule has replaced
    return re.sub(r"\s+", " ", text).strip()


@cache
def _engine() -> Any:
    import inflect

    return inflect.engine()


def _cardinal(number: int) -> str:
    words = _engine().number_to_words(number, andword="", comma="")
    return re.sub(r"\s+", " ", str(words))


def _ordinal(number: int) -> str:
    return str(_engine().ordinal(_cardinal(number)))


def _plural(noun: str, count: str) -> str:
    """The noun in the number that ``count`` (as written) needs; in "mile per hour" only the first word changes."""
    if count == "1":
        return noun
    first, _, rest = noun.partition(" ")
    if first == "degree":
        return f"degrees {rest}".strip()
    known = {"foot": "feet", "hertz": "hertz", "kilohertz": "kilohertz", "yen": "yen", "penny": "pence"}
    return f"{known.get(first, first + 's')} {rest}".strip()


def _digits(text: str) -> str:
    return f" {' '.join(_DIGITS[int(digit)] for digit in text)} "


def _number(text: str) -> str:
    """A number in words; it may have separators and decimals. Long numbers are read digit by digit."""
    whole, _, decimals = text.replace(",", "").partition(".")
    if len(whole) > 12 or (len(whole) > 1 and whole.startswith("0")):
        words = _digits(whole).strip()
    else:
        words = _cardinal(int(whole))
    return f"{words} point {_digits(decimals).strip()}" if decimals else words


def _year(number: int) -> str:
    """A year in words: 1984 is nineteen eighty-four, 2005 is two thousand five."""
    high, low = divmod(number, 100)
    if number % 1000 < 10 or number < 1000:
        return _cardinal(number)
    if low == 0:
        return f"{_cardinal(high)} hundred"
    return f"{_cardinal(high)} {'oh ' if low < 10 else ''}{_cardinal(low)}"


def _decade(match: re.Match[str]) -> str:
    words = _year(int(match[1]))
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _money(match: re.Match[str]) -> str:
    unit, part = _MONEY[match["sign"]]
    amount, scale = match["amount"], match["scale"]
    if scale:
        word = _SCALES.get(scale.lower(), scale.lower())
        return f"{_number(amount)} {word} {_plural(unit, '')}"
    whole, _, cents = amount.partition(".")
    if len(cents) != 2 or not part:
        return f"{_number(amount)} {_plural(unit, amount)}"
    words = f"{_number(whole)} {_plural(unit, whole)}"
    if not int(cents):
        return words
    small = f"{_cardinal(int(cents))} {_plural(part, str(int(cents)))}"
    return small if not int(whole.replace(",", "")) else f"{words} and {small}"


def _clock(match: re.Match[str]) -> str:
    hour, minute, half = int(match["hour"]), int(match["minute"] or 0), (match["half"] or "").lower().replace(".", "")
    if hour > 24 or minute > 59:
        return match[0]
    words = _cardinal(hour)
    if minute:
        words += f" {'oh ' if minute < 10 else ''}{_cardinal(minute)}"
    elif not half:
        words += " o'clock" if 0 < hour < 13 else " hundred"
    return f"{words} {' '.join(half)}".strip()


def _unit(match: re.Match[str]) -> str:
    return f"{_number(match['amount'])} {_plural(_UNITS[match['unit']], match['amount'])}"


def _fraction(match: re.Match[str]) -> str:
    top, bottom = int(match["top"]), int(match["bottom"])
    if not 0 < top < bottom <= 100:
        return match[0]
    below = {2: "half", 4: "quarter"}.get(bottom) or _ordinal(bottom)
    return f"{_cardinal(top)} {below if top == 1 else 'halves' if bottom == 2 else below + 's'}"


def _roman(text: str) -> int:
    values = [_ROMAN[letter] for letter in text.lower()]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))


def _spoken(table: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: table[match[1].lower()]


def _keys(table: dict[str, Any]) -> str:
    return "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))


def _ascii_digit(match: re.Match[str]) -> str:
    import unicodedata

    value = unicodedata.decimal(match[0], None)
    return match[0] if value is None else str(value)


_RULES: tuple[tuple[re.Pattern[str], Any], ...] = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, flags, replacement in (
        (r"\bst\.(?=\s*$|\s+(?:and|in|at|to|is)\b)", re.I, "street"),
        (rf"\b({_keys(_TITLES)})\.(?=\s+[A-Z])", re.I, _spoken(_TITLES)),
        (rf"\b({_keys(_ABBREVIATIONS)})\.", re.I, _spoken(_ABBREVIATIONS)),
        (r"\bno\.\s*(?=\d)", re.I, "number "),
        (rf"\b({_ROMAN_NOUNS})\s+([IVXLC]+)\b", re.I, lambda m: f"{m[1]} {_cardinal(_roman(m[2]))}"),
        (rf"\b({_RULERS})\s+([IVX]+)\b", re.I, lambda m: f"{m[1]} the {_ordinal(_roman(m[2]))}"),
        (rf"(?P<sign>[$£€¥])\s?(?P<amount>{_NUMBER})(?:\s?(?P<scale>(?:{_SCALE_WORD}|bn|tn|[kmb])\b))?", re.I, _money),
        (rf"(?P<amount>{_NUMBER})\s?(?P<sign>[£€¥])(?P<scale>)", 0, _money),
        (r"\b(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s?(?P<half>[ap]\.?m\b\.?)", re.I, _clock),
        (r"\b(?P<hour>\d{1,2}):(?P<minute>\d\d)\b(?P<half>)", 0, _clock),
        (r"\b(1[1-9]\d0|20\d0)'?s\b", 0, _decade),
        (rf"(?P<amount>{_NUMBER})\s?(?P<unit>{_keys(_UNITS)})(?![\w/])", 0, _unit),
        (r"\b\d{3}-\d{4}\b|\b\d{3}-\d{3}-\d{4}\b", 0, lambda m: _digits(m[0].replace("-", ""))),
        (rf"(?<![\w.])(?:minus )?-(?={_NUMBER})", re.I, "minus "),
        (rf"({_NUMBER})\s?%", 0, lambda m: f"{_number(m[1])} percent"),
        (r"\b(\d{1,12})(?:st|nd|rd|th)\b", re.I, lambda m: _ordinal(int(m[1]))),
        (rf"{_DAY}(\d{{1,2}})\b(?!\d)(?=,?\s+\d{{4}}\b)", re.I, lambda m: f"{m[1]} {_ordinal(int(m[2]))}"),
        (rf"{_DAY}([12]?\d|3[01])\b(?![:,.]?\d)", re.I, lambda m: f"{m[1]} {_ordinal(int(m[2]))}"),
        (r"(?<![\d.,/$-])\b(?P<top>\d{1,2})/(?P<bottom>\d{1,3})\b(?!/)", 0, _fraction),
        (r"(?<![\d.,])(1[1-9]\d\d|20[0-9]\d)(?![\d,]*\d|\.\d)\b", 0, lambda m: _year(int(m[1]))),
        (r"(?<=\d)-(?=\d)", 0, " "),
        (rf"({_NUMBER})", 0, lambda m: f" {_number(m[1])} "),
        (r"&", 0, " and "), (r"@", 0, " at "), (r"%", 0, " percent "), (r"\+", 0, " plus "), (r"=", 0, " equals "),
        (r"(?<=\w)/(?=\w)", 0, " slash "),
        (r"[*_#<>|~^\\{}\[\]/$£€¥°§¶•·]", 0, " "),
        (r"\s+([,.;:!?])", 0, r"\1"),
    )
)  # fmt: skip
