"""Say English numbers: cardinals, ordinals, fractions, years, codes and single digits.

The functions take the digits as they are written and return words without digits. The largest number that has a name
here has 15 digits; longer numbers are read digit by digit.
"""

import re

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("", " thousand", " million", " billion", " trillion")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
LONGEST = 15
"""The number of digits of the largest number that is read as one number."""

WHOLE = rf"(?:\d{{1,3}}(?:,\d{{3}}){{1,4}}(?!\d)|\d{{1,{LONGEST}}})"
"""A whole number, with or without commas between groups of three digits."""
FRACTION = r"\d{1,3}/\d{1,3}(?![\d/])"
"""A fraction such as 3/4."""
VALUE = rf"(?:{FRACTION}|{WHOLE}(?:[ -]{FRACTION}|\.\d{{1,{LONGEST}}})?|\.\d{{1,{LONGEST}}})"
"""A number: whole, decimal (also without a leading zero), a fraction, or a whole number with a fraction."""
START = r"(?<![\w/.\u2191])(?<!\d,)"
"""The position where a number starts: not inside a word or another number."""
END = r"(?![\w/])(?![.,]\d)"
"""The position where a number ends."""


def cardinal(number: int) -> str:
    """The number in words, without "and": 1234 is one thousand two hundred thirty-four. 0 <= number < 10 ** 15."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_SMALL[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_SMALL[hundreds]} hundred" + (f" {cardinal(rest)}" if rest else "")
    groups = []
    for scale in _SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(cardinal(group) + scale)
    return " ".join(reversed(groups))


def ordinal(number: int) -> str:
    """The ordinal in words: 23 is twenty-third. 0 <= number < 10 ** 15."""
    words = cardinal(number)
    head, last = re.fullmatch(r"(.*?)([a-z]+)", words).groups()  # type: ignore[union-attr]
    return head + (_ORDINALS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"))


def digits(text: str, zero: str = "zero") -> str:
    """The digits in ``text`` one by one; other characters are left out."""
    return " ".join(zero if char == "0" else _SMALL[int(char)] for char in text if char.isdecimal())


def whole(text: str) -> str:
    """A whole number as written; with a leading zero or more than 15 digits it is read digit by digit."""
    text = text.replace(",", "")
    if len(text) > LONGEST or (len(text) > 1 and text.startswith("0")):
        return digits(text)
    return cardinal(int(text))


def value(text: str) -> str:
    """A number that has the form of `VALUE`: 2.50 is two point five zero, .5 is point five, 2 1/2 is two and a half."""
    if "/" in text:
        start, top, bottom = re.fullmatch(r"(?:(.*)[ -])?(\d+)/(\d+)", text).groups()  # type: ignore[union-attr]
        below = fraction(int(top), int(bottom))
        if not start:
            return below
        return f"{whole(start)} and {re.sub('^one ', 'an ' if bottom in ('8', '11', '18') else 'a ', below)}"
    start, dot, decimals = text.partition(".")
    if not dot:
        return whole(text)
    return f"{whole(start) + ' ' if start else ''}point {digits(decimals)}"


def fraction(top: int, bottom: int) -> str:
    """A fraction: 3/4 is three quarters. 10/10 is ten out of ten, and 120/80 is one hundred twenty over eighty."""
    if top == bottom:
        return f"{cardinal(top)} out of {cardinal(bottom)}"
    if top == 0:
        return f"zero out of {cardinal(bottom)}"
    if bottom < 2 or (top > bottom and bottom > 10):
        return f"{cardinal(top)} over {cardinal(bottom)}"
    if bottom == 2:
        return "one half" if top == 1 else f"{cardinal(top)} halves"
    part = "quarter" if bottom == 4 else ordinal(bottom)
    return f"{cardinal(top)} {part}{'' if top == 1 else 's'}"


def year(number: int) -> str:
    """A year: 1984 is nineteen eighty-four, 1905 is nineteen oh five, 2005 is two thousand five."""
    high, low = divmod(number, 100)
    if number % 1000 < 10 or number < 1000 or number > 9999:
        return cardinal(number)
    if low == 0:
        return f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {two_digits(low)}"


def two_digits(number: int) -> str:
    """A number below 100 after another one, as in times and years: 5 is oh five."""
    return f"oh {cardinal(number)}" if number < 10 else cardinal(number)


def plural(words: str) -> str:
    """The plural of a number: eighties, hundreds, sixes."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def code(text: str) -> str:
    """The digits of a code such as A320 or MP3: pairs of digits, or one by one if there are more than four."""
    number = int(text)
    if text.startswith("0") or len(text) > 4:
        return digits(text)
    if len(text) < 3:
        return cardinal(number)
    if len(text) == 4:
        return year(number)
    high, low = divmod(number, 100)
    return f"{cardinal(high)} {two_digits(low) if low else 'hundred'}"
