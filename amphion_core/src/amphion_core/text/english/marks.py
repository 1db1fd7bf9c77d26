"""Say the signs before and between numbers, and the marks that stand alone."""

import re
import unicodedata

from amphion_core.text.english.characters import RANGE_DASH
from amphion_core.text.english.numbers import START, VALUE, cardinal, code, value
from amphion_core.text.english.rules import Rule


def _times(match: re.Match[str]) -> str:
    """3x4 is three times four, 1920x1080 is nineteen twenty by ten eighty."""
    first, second = match[1], match[2]
    if min(len(first), len(second)) > 2 and first.isdecimal() and second.isdecimal():
        return f"{code(first)} by {code(second)}"
    return f"{value(first)} times {value(second)}"


def _power_of_ten(match: re.Match[str]) -> str:
    """1.5e-3; without a point or a sign, such as 3E5, it is a code."""
    if "." not in match[1] and not match[2]:
        return match[0]
    return f"{value(match[1])} times ten to the {'minus ' if match[2] == '-' else ''}{cardinal(int(match[3]))}"


def _unknown(match: re.Match[str]) -> str:
    """A mark that nobody says becomes a space; a combining mark stays with its letter."""
    return match[0] if unicodedata.category(match[0]).startswith("M") else " "


SIGN_RULES: tuple[Rule, ...] = (
    (r"\b(UTC|GMT)-(?=\d)", r"\1 minus "),
    (r"(?P<money>(?:\b(?:US|CA|AU|NZ|HK|[ACS]))?[$£€¥])\s?-\s?(?=\.?\d)", r"minus \g<money>"),
    (r"(?<![\w.)%°\]'-])(?:minus )?-(?=(?:[A-Z]{1,2}\$|[$£€¥₹])?\.?\d)", "minus "),
    (r"(?<=\d) / (?=\d)", " divided by "),
    (r"(?<=\d) - (?=\d[\d.,]* ?=)", " minus "),
    (r"(?<![\w+])\+-(?=[$£€¥]?\d)|\+/-\s?", "plus or minus "),
    (r"(?<![\w+])\+(?=[$£€¥]?\.?\d)", "plus "),
    (r"~\s?(?=[$£€¥]?\.?\d)", "about "),
    (rf"{START}({VALUE})[eE]([+-]?)(\d{{1,3}})(?!\w)", _power_of_ten),
    (rf"{START}({VALUE})\s?(?:[x*]|times )\s?({VALUE})(?![\w.]*\d)(?!\w)", _times),
    (rf"{START}({VALUE})x(?!\w)", lambda m: f"{value(m[1])} times"),
)
"""Signs before and between numbers."""

MARK_RULES: tuple[Rule, ...] = (
    (r"\b(\d{1,3}/\d{1,3})(?:rd|th|nd)s?\b", r"\1"),
    (r"#(?=\s?\d)", "number "),
    (r"\b([CFGA])#(?!\w)", r"\1 sharp"),
    (r"(?<!\w)#(?=[A-Za-z])", "hashtag "),
    (r"§§?\s?", " section "),
    (r"\b([A-Za-z])\+\+", r"\1 plus plus"),
    (r"(?<=\w)\s?<\s(?=\w)", " is less than "),
    (r"(?<=\w)\s?>\s(?=\w)", " is greater than "),
)
"""Marks beside numbers and letters; they are read before the numbers."""

LAST_RULES: tuple[Rule, ...] = (
    ("&", " and "),
    ("@", " at "),
    ("%", " percent "),
    (r"\+", " plus "),
    ("=", " equals "),
    (r"°\s?C\b", " degrees celsius "),
    (r"°\s?F\b", " degrees fahrenheit "),
    ("°", " degrees "),
    (r"(?<=\w)/(?=\w)|(?<=\w) / (?=\w)", " slash "),
    (r"[$](?=\W|$)", " dollar "),
    ("€", " euro "),
    ("£", " pound "),
    ("¥", " yen "),
    ("¢", " cent "),
    (RANGE_DASH, " - "),
    (r"[^\w\s.,;:!?'\"()-]|_", _unknown),
)
"""Words for the remaining marks; marks that nobody says become spaces."""

SPACE_RULES: tuple[Rule, ...] = ((r"\s+", " "), (r" ([,.;:!?])(?!\w)", r"\1"))
"""Single spaces, and none before a mark."""
