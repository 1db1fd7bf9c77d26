"""Say addresses, versions, telephone numbers, codes such as MP3, and the remaining numbers and marks."""

import re

from amphion_core.text.english.characters import RAISED, RANGE_DASH
from amphion_core.text.english.dates import month_name
from amphion_core.text.english.names import spell
from amphion_core.text.english.numbers import (
    END,
    START,
    VALUE,
    WHOLE,
    after,
    before,
    cardinal,
    code,
    digits,
    fraction,
    ordinal,
    plural,
    value,
    whole,
    year,
)
from amphion_core.text.english.quantities import Rule

_FRACTION = r"\d{1,3}/\d{1,3}(?![\d/])"
_SUFFIXES = (
    "com|org|net|edu|gov|mil|info|io|ai|co|uk|us|de|fr|ca|au|jp|cn|eu|ch|nl|es|it|se|tv|me|app|dev|xyz|biz|py|js|txt|pdf|"
    "html|htm|csv|json|doc|docx|zip|exe|wav|mp3|mp4|png|jpg|jpeg|gif|md|yaml|yml|toml|cpp|xlsx?|pptx?"
)
_ADDRESS_MARKS = {
    ".": "dot", "@": "at", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "?": "question mark",
    "=": "equals", "&": "and", "#": "hash", "%": "percent", "+": "plus", "~": "tilde", ",": "comma", ";": "semicolon",
}  # fmt: skip


def _address(match: re.Match[str]) -> str:
    """An address, a mail address or a file name: its words, and its marks by their names."""
    address = match[0].rstrip(".,;:!?)\"'")
    words = []
    for part in re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]", address):
        if part.isdecimal():
            words.append(digits(part))
        elif part.isalpha():
            words.append(spell(part.upper()) if part.lower() in _SPELLED else part)
        else:
            words.append(_ADDRESS_MARKS.get(part, ""))
    return " ".join(filter(None, words)) + match[0][len(address) :]


_SPELLED = (
    "http",
    "https",
    "www",
    "ftp",
    "uk",
    "us",
    "io",
    "html",
    "htm",
    "csv",
    "pdf",
    "txt",
    "py",
    "js",
    "md",
    "mp",
    "tv",
)


def _version(match: re.Match[str]) -> str:
    """192.168.1.1 digit by digit with dots, 2.0.1 as numbers with points."""
    parts = match["numbers"].split(".")
    version = "version " if match["letter"] else ""
    if len(parts) == 4 and all(int(part) < 256 for part in parts) and not version:
        return " dot ".join(digits(part) for part in parts)
    return version + " point ".join(whole(part) for part in parts)


def _groups(match: re.Match[str]) -> str:
    """A telephone number: single digits, a pause between groups, "oh" for zero."""
    text = match[0]
    plus = "plus " if text.startswith("+") else ""
    groups = re.findall(r"\d+", text)
    free = groups[0] == "1" and len(groups) > 2 and groups[1][1:] == "00"
    words = [cardinal(int(g)) if free and i == 1 else digits(g, "oh") for i, g in enumerate(groups)]
    return plus + ", ".join(words)


def _short_phone(match: re.Match[str]) -> str:
    """555-1234; two round numbers such as 500-1000 are a range."""
    first, second = match[0].split("-")
    if int(first) % 10 == 0 and int(second) % 100 == 0:
        return match[0]
    return digits(match[0])


def _range_of_numbers(match: re.Match[str]) -> str:
    """10-15, 1990-1995, 1990-95, 50-50."""
    first, dash, second = match["first"], match["dash"].strip(), match["second"]
    minus = "minus " if match["minus"] else ""
    if match["dash"] == " - " and _size(first) >= _size(second):
        return match[0]
    if first == second and not minus and dash == "-":
        return f"{_plain(first)} {_plain(second)}"
    years = len(first) == 4 and first.isdecimal() and first[:2] in _CENTURIES
    if years and second.isdecimal() and len(second) == 2:
        return f"{year(int(first))} to {whole(second) if second[0] != '0' else digits(second, 'oh')}"
    return f"{_plain(first)} to {minus}{_plain(second)}"


_CENTURIES = tuple(str(century) for century in range(11, 21))


def _size(text: str) -> float:
    if "/" in text:
        return 0.0
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
    if len(parts) > 2:
        return " slash ".join(_plain(part) for part in parts)
    top, bottom = parts
    if len(top) == 4 and top[:2] in ("18", "19", "20"):
        return f"{year(int(top))} {code(bottom) if bottom[0] != '0' else digits(bottom, 'oh')}"
    if len(top) > 3 or len(bottom) > 4 or top.startswith("0") or bottom.startswith("0"):
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


def _times(match: re.Match[str]) -> str:
    """3x4 is three times four, 1920x1080 is nineteen twenty by ten eighty."""
    first, second = match[1], match[2]
    if min(len(first), len(second)) > 2 and first.isdecimal() and second.isdecimal():
        return f"{code(first)} by {code(second)}"
    return f"{value(first)} times {value(second)}"


def _apart(words: str, match: re.Match[str]) -> str:
    """The words, with spaces where they would touch letters."""
    return f"{' ' if before(match, 1).isalnum() else ''}{words}{' ' if after(match, 1).isalnum() else ''}"


ADDRESS_RULES: tuple[Rule, ...] = (
    (
        r"(?<!\d)\d{16,}(?:\.\d+)?|(?<![\d.])\d{1,15}\.\d{16,}|(?<![\d,])\d{1,3}(?:,\d{3}){5,}(?!\d)",
        lambda m: _apart(
            digits(m[0].partition(".")[0]) + (f" point {digits(m[0].partition('.')[2])}" if "." in m[0] else ""), m
        ),
    ),
    (r"(?i)\b(?:https?|ftp)://[^\s<>\"]+|(?<![\w.@/-])www\.[^\s<>\"]+", _address),
    (r"(?<![\w.+-])[\w.+-]{1,64}+@(?:[A-Za-z\d-]{1,63}\.){1,5}[A-Za-z]{2,12}\b", _address),
    (rf"(?<![\w.@/-])(?:[A-Za-z\d_-]{{1,63}}\.){{1,5}}(?:{_SUFFIXES})\b(?![.@]\w)(?:/[^\s<>\"]*)?", _address),
    (r"(?<=\w)\.(?=js\b|NET\b)|(?<!\w)\.(?=NET\b)", " dot "),
)
"""Numbers that are too long for a name, then addresses of the web and of mail, and names of files."""

_PHONE_BEFORE = r"(?<![\w.,/$£€#-])"
PHONE_RULES: tuple[Rule, ...] = (
    (rf"{_PHONE_BEFORE}(?:1[-. ])?\d{{3}}([-. ])\d{{3}}\1\d{{4}}(?![\w-])(?!\.\d)", _groups),
    (rf"{_PHONE_BEFORE}(?P<letter>[vV]\.?\s?)?(?P<numbers>\d{{1,5}}(?:\.\d{{1,5}}){{2,}}+)(?!\d)", _version),
    (r"\b[vV]\.?(?=\d+(?:\.\d+)?\b)", "version "),
    (
        rf"{_PHONE_BEFORE}\+\d{{1,3}}(?:[-. ]?\(\d{{1,5}}\)[-. ]?\d{{1,5}}|[-. ]\d{{1,5}})"
        r"(?:[-. ]\d{2,8}){1,5}(?![\w-])",
        _groups,
    ),
    (r"(?<![\w+])\+\d{9,15}(?!\w)", lambda m: f"plus {digits(m[0], 'oh')}"),
    (rf"{_PHONE_BEFORE}(?:\+?1[-. ]?)?\(\d{{2,5}}\)[-. ]?\d{{3,4}}[-. ]?\d{{3,4}}(?![\w-])", _groups),
    (
        rf"{_PHONE_BEFORE}(?:0\d{{2,4}} \d{{3,4}} \d{{3,4}}|0\d{{3,4}}[ -]\d{{6,7}}"
        r"|0\d{2}[ -]\d{7,8}|\d{4}(?: \d{4}){3}|0\d(?: \d\d){4})(?![\w-])",
        _groups,
    ),
    (rf"{_PHONE_BEFORE}1-(8\d\d|900)-(?=[A-Z])", lambda m: f"one, {code(m[1])}, "),
    (rf"{_PHONE_BEFORE}\d{{1,15}}(?:-\d{{1,15}}){{2,}}+(?![\w])", _groups),
    (rf"{_PHONE_BEFORE}\d{{3}}-\d{{4}}(?![\w-])(?![.,]\d)", _short_phone),
    (
        r"(?i)\b((?:call|dial|phone|tel|telephone|fax|text|extension|ext|pin|code|zip|ssn)"
        r"(?: (?:me|us|number))?:?\.? )(\d{3,12})(?![\w-])(?![.,:/]\d)",
        lambda m: m[1] + digits(m[2], "oh") if _is_called(m) else m[0],
    ),
)
"""Versions and addresses of computers, then telephone numbers."""


def _is_called(match: re.Match[str]) -> bool:
    """Whether the number is dialled: "call 911", but not "call 300 people"."""
    return (
        not re.match(r" [a-z]", after(match, 2))
        or re.match(r" (?:for|if|in|now|to|and|or|at|is|was|immediately|before|when|today)\b", after(match, 14))
        is not None
    )


SIGN_RULES: tuple[Rule, ...] = (
    (r"\b(UTC|GMT)-(?=\d)", r"\1 minus "),
    (r"(?P<money>(?:\b(?:US|CA|AU|NZ|HK|[ACS]))?[$£€¥])\s?-\s?(?=\.?\d)", r"minus \g<money>"),
    (r"(?<![\w.)%°\]'-])(?:minus )?-(?=(?:[A-Z]{1,2}\$|[$£€¥₹])?\.?\d)", "minus "),
    (r"(?<=\d) - (?=\d[\d.,]* ?=)", " minus "),
    (r"(?<![\w+])\+-(?=[$£€¥]?\d)|\+/-\s?", "plus or minus "),
    (r"(?<![\w+])\+(?=[$£€¥]?\.?\d)", "plus "),
    (r"~\s?(?=[$£€¥]?\.?\d)", "about "),
    (
        rf"{START}({VALUE})[eE]([+-]?)(\d{{1,3}})\b(?<![\da-zA-Z][eE]\d)(?<=\d)",
        lambda m: (
            f"{value(m[1])} times ten to the {'minus ' if m[2] == '-' else ''}{cardinal(int(m[3]))}"
            if "." in m[1] or m[2]
            else m[0]
        ),
    ),
    (rf"{START}({VALUE})\s?(?:[x*]|times )\s?({VALUE})(?![\w.]*\d)(?!\w)", _times),
    (rf"{START}({VALUE})x(?!\w)", lambda m: f"{value(m[1])} times"),
)
"""Signs before and between numbers."""

NUMBER_RULES: tuple[Rule, ...] = (
    (
        rf"(?i)(?<![\d.,])({WHOLE})(?:st|nd|rd|th)\s?(?:-|{RANGE_DASH})\s?({WHOLE})(?:st|nd|rd|th)\b",
        lambda m: f"{_ordinal(m)} to {ordinal(int(m[2].replace(',', '')))}",
    ),
    (rf"(?i)(?<![\d.,])({WHOLE})(?:st|nd|rd|th)\b", lambda m: _apart(_ordinal(m), m)),
    (r"(?i)\b(on|by|since|until|dated|due) (\d{1,2})/(\d{1,2})(?![\w/])(?!\.\d)", _month_and_day),
    (
        rf"{START}((?:{WHOLE}[ -])?{_FRACTION})(?:-|\s?{RANGE_DASH}\s?)({VALUE}){END}",
        lambda m: f"{value(m[1])} to {value(m[2])}",
    ),
    (rf"{START}{WHOLE}[ -]{_FRACTION}", lambda m: value(m[0])),
    (
        rf"{START}(?P<first>{VALUE})(?P<dash>-| - |\s?{RANGE_DASH}\s?)(?P<minus>minus |-)?(?P<second>{VALUE}){END}",
        _range_of_numbers,
    ),
    (rf"{START}\d{{1,15}}(?:/\d{{1,15}}){{1,20}}+", lambda m: _apart(_slashes(m), m)),
    (rf"{START}(\d{{1,4}}):(\d{{1,4}})(?!\w)(?![:.]\d)", lambda m: f"{whole(m[1])} to {whole(m[2])}"),
    (
        rf"({WHOLE}|\b[a-zA-Z]|\)){RAISED}([23])(?!\w)",
        lambda m: f"{value(m[1]) if m[1][0].isdecimal() else m[1]} {'squared' if m[2] == '2' else 'cubed'}",
    ),
    (rf"(?<=[\w)]){RAISED}(-?)(\d{{1,15}})(?!\d)", lambda m: f" to the {'minus ' if m[1] else ''}{_power(m[2], m[1])}"),
    (r"(?<![\w.,])(\d{1,15})'?s\b", lambda m: _several(m)),
    (r"(?<=[A-Za-z])-(?=\d)", " "),
    (rf"{START}(?:1[1-9]\d\d|20\d\d)(?!\w)(?![.,]\d)", lambda m: year(int(m[0]))),
    (r"\b(in|year|AD|anno|circa|since|of) (10[1-9]\d)(?!\w)(?![.,]\d)", lambda m: f"{m[1]} {year(int(m[2]))}"),
    (r"(?<![^\W_])(?=[^\W\d_]{1,20}+\d|\d{1,15}+[^\W\d_])[^\W_]{2,60}", _code),
    (rf"(?<![\d.])(?<!\d,)({WHOLE}\.\d{{1,15}}|\.\d{{1,15}})(?!\d)", lambda m: _apart(value(m[0]), m)),
    (WHOLE, lambda m: _apart(whole(m[0]), m)),
)
"""Ordinals, ranges, fractions, ratios, powers, years, codes, and every remaining number."""


def _power(text: str, sign: str) -> str:
    return cardinal(int(text)) if sign else ordinal(int(text))


def _several(match: re.Match[str]) -> str:
    """100s are hundreds; other small numbers with an s are seconds."""
    text = match[1]
    if len(text) < 3 and int(text) % 10:
        return f"{whole(text)} second{'' if int(text) == 1 else 's'}"
    return plural(whole(text)).removeprefix("one ") if re.fullmatch("10+", text) else plural(code(text))


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
    ("°", " degrees "),
    (r"(?<=\w)/(?=\w)", " slash "),
    (r"[$](?=\W|$)", " dollar "),
    ("€", " euro "),
    ("£", " pound "),
    ("¥", " yen "),
    ("¢", " cent "),
    (RANGE_DASH, " - "),
    (r"[^\w\s.,;:!?'\"()-]|_", " "),
    (r"\s+", " "),
    (r" ([,.;:!?])(?!\w)", r"\1"),
)
"""Words for the remaining marks; marks that nobody says become spaces."""
