"""Say the signs before and between numbers, and the marks that stand alone."""

import re
import unicodedata

from amphion_core.text.english.characters import RANGE_DASH
from amphion_core.text.english.numbers import START, VALUE, cardinal, code, value
from amphion_core.text.english.rules import Rule


def _times(match: re.Match[str]) -> str:
    """3x4 is three times four, 5x7 inches is five by seven, 1920x1080 is nineteen twenty by ten eighty."""
    lengths = _LENGTH.match(match.string, match.end(2))
    return f"{value(match[1])} {'by' if lengths else 'times'} "


_LENGTH = re.compile(
    r"[ -]?(?:cm|mm|m|km|ft|feet|foot|in|inch|inches|photos?|prints?|pictures?|yards?|met(?:er|re)s?|px|grid)\b"
)


def _power_of_ten(match: re.Match[str]) -> str:
    """1.5e-3; without a point or a sign, such as 3E5, it is a code."""
    if "." not in match[1] and not match[2] and "E" in match[0]:
        return match[0]
    return f"{value(match[1])} times ten to the {'minus ' if match[2] == '-' else ''}{cardinal(int(match[3]))}"


def _unknown(match: re.Match[str]) -> str:
    """A mark that nobody says becomes a space; a combining mark stays with its letter."""
    return match[0] if unicodedata.category(match[0]).startswith("M") else " "


_AFTER_WORD = r"(?:^|(?<=[\s(]))(?<!\b\w )(?<!\d )"  # not after the x of "x < 5"
SIGN_RULES: tuple[Rule, ...] = (
    (r"(?<![\w+])\+-(?=[$£€¥]?\d)|\+/-\s?", "plus or minus "),
    (r"\b(UTC|GMT)-(?=\d)", r"\1 minus "),
    (r"(?<!\d)(?<!\d )(?P<money>(?:\b(?:US|CA|AU|NZ|HK|[ACS]))?[$£€¥])\s?-\s?(?=\.?\d)", r"minus \g<money>"),
    (r"(?<![\w.)%°€£¥\]'\u2191-])(?:minus )?-(?=(?:[A-Z]{1,2}\$|[$£€¥₹])?\.?\d)", "minus "),
    (r"(?<=\d) / (?=\d)", " divided by "),
    (rf"(?<=\d)(?: - |-|\s?{RANGE_DASH}\s?)(?=\d[\d.,]{{0,20}} ?=)", " minus "),
    (r"(?<=\bI )<3(?= \w)", "love"),
    (r"\s<3+(?=[\s.!]*$)", ""),
    (rf"{_AFTER_WORD}<\s?(?=[$£€¥]?\.?\d)", "less than "),
    (rf"{_AFTER_WORD}>\s?(?=[$£€¥]?\.?\d)", "more than "),
    (r"(?<![\w+])\+(?=[$£€¥]?\.?\d)", "plus "),
    (r"~\s?(?=[$£€¥]?\.?\d)", "about "),
    (rf"{START}({VALUE})[eE]([+-]?)(\d{{1,3}})(?!\w)", _power_of_ten),
    (rf"{START}(\d{{3,4}})\s?x\s?(\d{{3,4}})(?!\w)", lambda m: f"{code(m[1])} by {code(m[2])}"),
    (rf"(?:{START}|(?<=\dx))({VALUE})\s?(?:[x*]|times )\s?(?=({VALUE})(?:(?!\w)|x\s?\d))", _times),
    (r"(?<=\d)(\"|\s?(?:cm|mm|m|km|ft|in|px)\.?)\s?x\s?(?=\d)", r"\1 by "),
    (rf"{START}({VALUE})x?(?:-|\s?{RANGE_DASH}\s?)({VALUE})x(?!\w)", lambda m: f"{value(m[1])} to {value(m[2])} times"),
    (rf"{START}({VALUE})x/(?=[a-z]{{2,12}}\b)", lambda m: f"{value(m[1])} times per "),
    (rf"{START}({VALUE})[kK]/(?=[a-z]{{2,12}}\b)", lambda m: f"{value(m[1])} thousand per "),
    (rf"{START}({VALUE})x(?!\w)", lambda m: f"{value(m[1])} times"),
    (
        rf"{START}(\d{{1,2}}\.\d{{1,2}})/(\d{{1,3}}(?:\.\d)?)(?![\w/])(?!\.\d)",
        lambda m: f"{value(m[1])} out of {value(m[2])}",
    ),
)
"""Signs before and between numbers."""

MARK_RULES: tuple[Rule, ...] = (
    (r"\b(\d{1,3}/\d{1,3})(?:rd|th|nd)s?\b", r"\1"),
    (r"#(?=\s?\d)", "number "),
    (r"\b([CFGA])#(?!\w)", r"\1 sharp"),
    (r"(?<!\w)#(?=[A-Za-z])", "hashtag "),
    (r"§§\s?", " sections "),
    (r"§\s?", " section "),
    (r"(?<=[A-Za-z]{2}) > (?=[A-Z][a-z])", ", "),  # a path of menus
    (r"¶\s?", " paragraph "),
    (r"\b([A-Za-z])\+\+", r"\1 plus plus"),
    (r"(?<=\w)\s?<\s?(?=\w)", " is less than "),
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
    (r"\\(?=\w)", " backslash "),
    (r"(?<!\S)/(?=\w)|(?<=\w)/(?=\w)|(?<=\w) / (?=\w)", " slash "),
    (r"\$", " dollar "),
    ("€", " euro "),
    ("£", " pound "),
    ("¥", " yen "),
    ("¢", " cent "),
    (RANGE_DASH, " - "),
    (r"[^\w\s.,;:!?'\"()-]|_", _unknown),
)
"""Words for the remaining marks; marks that nobody says become spaces."""

SPACE_RULES: tuple[Rule, ...] = ((r"\s+", " "), (r" ([,.;:!?])(?!\w)", r"\1"), (r"\( ", "("))
"""Single spaces, and none before a mark."""
