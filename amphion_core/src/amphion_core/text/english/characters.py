"""Write the characters of an English text in one form, before the other rules.

Invisible characters inside words are removed. Fractions, raised digits, thousands separated by spaces, dashes, minus
signs and digits of other scripts get the ASCII form that the rules know.
"""

import re
import unicodedata

from amphion_core.text.sentences import clean, plain_marks

RANGE_DASH = "\u2010"
"""Stands for an en dash between two numbers, after `plain_characters`; a hyphen may also join a telephone number."""
RAISED = "\u2191"
"""Stands before raised digits, as in x², after `plain_characters`."""
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070),
     *range(0xFE00, 0xFE10))
)  # fmt: skip
_ONE_FOR_ONE = str.maketrans({
    "™": "", "℠": "", "′": "'", "″": '"', "º": "°", "ª": "a", "№": "No. ", "⁄": "/", "∕": "/", "‐": "-", "‑": "-",
    "‒": "–", "―": "—", "﹣": "-", "－": "-", "−": " minus ", "×": " times ", "÷": " divided by ", "·": " ",
    "±": " plus or minus ",
    "≈": " approximately ", "≤": " is at most ", "≥": " is at least ", "≠": " is not equal to ", "∞": " infinity ",
    "√": " square root of ", "→": " to ", "‰": " per mille ", "µ": "μ",
})  # fmt: skip
_RAISED = {ord(raised): plain for raised, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True)}
_THOUSANDS = re.compile(
    r"(?<![\w.,'])(?:"
    + "|".join((
        r"[1-9]\d{0,2}(?:[\u00a0\u2007-\u2009\u202f]\d{3}){1,5}",  # 10 000 with a space that does not break
        r"[1-9]\d{0,2}(?: 000){1,4}|[1-9]\d?(?: \d{3}){2,4}",  # 10 000 and 1 234 567 with a usual space
        r"[1-9]\d{0,2}(?:(?:['’]\d{3}){1,5}|(?:_\d{3}){1,5}|(?:\.\d{3}){2,5})",  # 10'000, 10_000, 1.000.000
        r"[1-9]\d?(?:,\d\d){1,6},\d{3}",  # 1,00,000 in India
    ))
    + r")(?![\w'’])(?! ?\d)(?![.,]\d)"
)  # fmt: skip
_DECIMAL_COMMA = re.compile(
    r"(?<![\w.,])(?:(\d{1,3}(?:[.\s]\d{3}){1,4}|(?<=€)\d{1,9}|(?<=€ )\d{1,9}),(\d\d?)(?![\d,])"
    r"|(\d{1,9}),(\d\d)(?=\s?€)|(\d{1,3}),(\d)(?= (?:m|b|tr)illion\b))"
)
_ROUND_EUROS = re.compile(
    r"(?<![\w.,])(?:(?:€\s?)[1-9]\d{0,2}(?:\.000){1,3}(?![.,]?\w)|[1-9]\d{0,2}(?:\.000){1,3}(?=\s?€))"
)
_RANGE = re.compile(r"(?<=\d)(\s?(?:%|°[CF]?|€|£|[ap]\.m\.|[a-zA-Z]{1,3})?)\s?–\s?(?=-?[$£€¥]?\.?\d)")
_GREEK = re.compile(r"(?<![^\W\d_])(?<!\d)(?<!\d )[α-ωΑ-Ω](?![^\W\d_])")


def plain_characters(text: str) -> str:
    """The text in ASCII digits and marks, with single spaces; letters and their case are kept."""
    text = text.translate(_INVISIBLE)
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞↉])", " ", text)
    text = re.sub("[¼-¾⅐-⅞↉]", lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = re.sub(r"(?<=[\w)])[⁻⁺]?[⁰¹²³⁴-⁹]+", lambda match: RAISED + match[0].translate(_RAISED), text)
    text = re.sub(r"(?<=[\w)])\^(?=-?\d)", RAISED, text)
    text = _THOUSANDS.sub(lambda match: f"{int(re.sub(r'[^0-9]', '', match[0])):,}", text)
    text = _ROUND_EUROS.sub(lambda match: match[0].replace(".", ","), text)
    text = _DECIMAL_COMMA.sub(_with_point, text)
    text = re.sub(r"(?<=[\w)])\^(?=[a-z]\b)", " to the ", text)
    text = text.translate(_ONE_FOR_ONE)
    text = _RANGE.sub(rf"\1{RANGE_DASH}", text)
    text = re.sub(r"(?<![\w.)%°])–(?=[$£€¥]?\.?\d)", "-", text)
    text = plain_marks(clean(text), keep=RANGE_DASH).replace("\u2044", "/")
    text = re.sub(r"-{2,}", " - ", re.sub(r"(?<=\d)--(?=\.?\d)", " to minus ", text))
    text = re.sub(r"[^\x00-\x7f]", _plain_digit, text)
    text = _GREEK.sub(lambda match: f" {unicodedata.name(match[0]).rsplit(' ', 1)[-1].lower()} ", text)
    return re.sub(r"\s+", " ", text).strip()


def _with_point(match: re.Match[str]) -> str:
    """3,50 € and 1.234,50 with the point and without dots between thousands."""
    number, decimals = (group for group in match.groups() if group is not None)
    return re.sub(r"[.\s]", "", number) + f".{decimals}"


def _plain_digit(match: re.Match[str]) -> str:
    """A digit of another script in ASCII; another character with a whole value (Ⅻ, 〇) as that number."""
    digit = unicodedata.decimal(match[0], None)
    if digit is not None:
        return str(digit)
    number = -1.0 if match[0].isalpha() else unicodedata.numeric(match[0], -1.0)
    if number < 0:
        return match[0]
    return f" {int(number)} " if number == int(number) else " "
