"""Say ordinals, ranges of numbers, fractions and other slashes, ratios, powers, years, codes, and all other numbers."""

import re

from amphion_core.text.english.characters import RAISED, RANGE_DASH
from amphion_core.text.english.dates import month_name
from amphion_core.text.english.numbers import (
    END,
    FRACTION,
    START,
    VALUE,
    WHOLE,
    cardinal,
    code,
    digits,
    fraction,
    ordinal,
    plural,
    two_digits,
    value,
    whole,
    year,
)  # fmt: skip
from amphion_core.text.english.rules import Rule, after, apart


def _range_of_numbers(match: re.Match[str]) -> str:
    """10-15, 1990-1995, 1990-95, 50-50."""
    first, dash, second = match["first"], match["dash"].strip(), match["second"]
    minus = "minus " if match["minus"] else ""
    if match["dash"] == " - " and _size(first) >= _size(second):
        return match[0]
    if first == second and not minus and dash == "-":
        return f"{_plain(first)} {_plain(second)}"
    years = len(first) == 4 and first.isdecimal() and first[:2] in _CENTURIES
    if years and second == "00":  # 1999-00
        return f"{year(int(first))} to {year((int(first) // 100 + 1) * 100)}"
    if years and second.isdecimal() and len(second) == 2:
        return f"{year(int(first))} to {two_digits(int(second))}"
    return f"{_plain(first)} to {minus}{_plain(second)}"


_CENTURIES = tuple(str(century) for century in range(11, 21))


def _size(text: str) -> float:
    if "/" in text:
        start, top, bottom = re.fullmatch(r"(?:(.*)[ -])?(\d+)/(\d+)", text).groups()  # type: ignore[union-attr]
        return float(start or 0) + int(top) / max(1, int(bottom))
    return float(text.replace(",", ""))


def _plain(text: str) -> str:
    """A number without a unit; four digits from 1100 to 2099 are a year."""
    if len(text) == 4 and text[:2] in _CENTURIES and text.isdecimal():
        return year(int(text))
    return value(text)


def _slashes(match: re.Match[str]) -> str:
    """A number with a slash: a fraction, 24/7, 9/11, or a season such as 2023/24."""
    parts = match[0].split("/")
    if match[0] in ("9/11", "24/7", "24/7/365", "50/50", "20/20", "7/11", "4/20", "60/40", "80/20"):
        return " ".join(code(part) for part in parts)
    if match[0] in ("4/4", "7/7") or (len(set(parts)) == 1 and parts[0] not in ("1", "5", "10", "20", "100")):
        return " ".join(code(part) for part in parts)
    if len(parts) > 2:
        return " slash ".join(_plain(part) for part in parts)
    top, bottom = parts
    if len(top) == 4 and top[:2] in ("18", "19", "20"):
        return f"{year(int(top))} {code(bottom) if bottom[0] != '0' else digits(bottom, 'oh')}"
    if len(top) > 3 or len(bottom) > 4 or re.match("0\\d", top) or bottom.startswith("0"):
        return f"{whole(top)} slash {whole(bottom)}"
    return fraction(int(top), int(bottom))


def _month_and_day(match: re.Match[str]) -> str:
    if match[0].endswith("9/11") or not (1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 31):
        return match[0]
    return f"{match[1]} {month_name(int(match[2]))} {ordinal(int(match[3]))}"


def _ordinal(match: re.Match[str]) -> str:
    return ordinal(int(match[1].replace(",", "")))


def _code(match: re.Match[str]) -> str:
    """MP3, A4, 5G, H2O: letters and digits apart. Letters keep their case; an A is the letter."""
    words = []
    parts = re.findall(r"\d+|[^\W\d_]+", match[0])
    for index, part in enumerate(parts):
        if part.isdecimal():
            words.append(code(part))
        elif part in ("A", "a"):
            last = index == len(parts) - 1
            words.append("A-" if not last or re.match(r"\s?\w", after(match, 3)) else "A")
        else:
            words.append(part)
    return " ".join(words).replace("- ", "-")


def _power(text: str, sign: str) -> str:
    return cardinal(int(text)) if sign else ordinal(int(text))


def _several(match: re.Match[str]) -> str:
    """100s are hundreds; other small numbers with an s are seconds."""
    text = match[1]
    if len(text) < 3 and int(text) % 10:
        return f"{whole(text)} second{'' if int(text) == 1 else 's'}"
    return plural(whole(text)).removeprefix("one ") if re.fullmatch("10+", text) else plural(code(text))


RULES: tuple[Rule, ...] = (
    (
        rf"(?i)(?<![\d.,])({WHOLE})(?:st|nd|rd|th)\s?(?:-|{RANGE_DASH})\s?({WHOLE})(?:st|nd|rd|th)\b",
        lambda m: f"{_ordinal(m)} to {ordinal(int(m[2].replace(',', '')))}",
    ),
    (rf"(?i)(?<![\d.,])({WHOLE})(?:st|nd|rd|th)\b", lambda m: apart(_ordinal(m), m)),
    (r"(?i)\b(on|by|since|until|dated|due) (\d{1,2})/(\d{1,2})(?![\w/])(?!\.\d)", _month_and_day),
    (
        rf"{START}((?:{WHOLE}[ -])?{FRACTION})(?:-| - |\s?{RANGE_DASH}\s?)({VALUE}){END}",
        lambda m: f"{value(m[1])} to {value(m[2])}",
    ),
    (rf"{START}1/2 (?=an?\b)", "half "),
    (rf"{START}{WHOLE}[ -]{FRACTION}", lambda m: value(m[0])),
    (
        rf"{START}(?P<first>{VALUE})(?P<dash>-| - |\s?{RANGE_DASH}\s?)(?P<minus>minus |-)?(?P<second>{VALUE}){END}",
        _range_of_numbers,
    ),
    (
        r"\b(\d{1,2})/(\d{1,2})(?= (?:time|beats?|met(?:er|re)|signature|rhythm)\b)",
        lambda m: f"{code(m[1])} {code(m[2])}",
    ),
    (rf"{START}\d{{1,15}}(?:/\d{{1,15}}){{1,20}}+", lambda m: apart(_slashes(m), m)),
    (rf"{START}\d{{1,4}}(?::\d{{1,4}}){{1,5}}+(?!\w)(?![:.]\d)", lambda m: " to ".join(map(whole, m[0].split(":")))),
    (
        rf"({WHOLE}|[a-zA-Z]|\)){RAISED}([23])(?!\w)",
        lambda m: f"{value(m[1]) if m[1][0].isdecimal() else m[1]} {'squared' if m[2] == '2' else 'cubed'}",
    ),
    (rf"(?<=[\w)]){RAISED}(-?)(\d{{1,15}})(?!\d)", lambda m: f" to the {'minus ' if m[1] else ''}{_power(m[2], m[1])}"),
    (r"(?<=[A-Za-z]-)(\d{1,4})s\b", lambda m: plural(code(m[1]))),
    (r"(?<![\w.,])(\d{1,15})'s\b", lambda m: plural(code(m[1]))),
    (r"(?<![\w.,])(\d{1,15})s\b", _several),
    (r"(?<=[B-Zb-z])-(?=\d)|(?<=[A-Za-z][Aa])-(?=\d)", " "),
    (r"\b0(\d)00(?= hours?\b)", lambda m: f"zero {cardinal(int(m[1]))} hundred"),
    (rf"{START}(?:1[1-9]\d\d|20\d\d)(?!\w)(?![.,]\d)", lambda m: year(int(m[0]))),
    (
        r"(?i)\b(in|year|AD|anno|circa|since|of|by|until|before|after) (10[1-9]\d)(?!\w)(?![.,]\d)",
        lambda m: f"{m[1]} {year(int(m[2]))}",
    ),
    (r"(?<![^\W_])(?<!\d\.)(?=[^\W\d_]{1,20}+\d|\d{1,15}+[^\W\d_])[^\W_]{2,60}", _code),
    (rf"(?<![\d.])(?<!\d,)({WHOLE}\.\d{{1,15}}|\.\d{{1,15}})(?!\d)", lambda m: apart(value(m[0]), m)),
    (WHOLE, lambda m: apart(whole(m[0]), m)),
)
"""Ordinals, ranges, fractions, ratios, powers, years, codes, and every remaining number."""
