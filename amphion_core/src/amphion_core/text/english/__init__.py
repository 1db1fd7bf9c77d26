"""Write English numbers, dates, money, units and abbreviations as words.

Used before pronunciations are looked up. Word error rates do not use it: a wrong reading must count as an error.

The rules run in this order. An earlier rule has the right to a text that a later one would also match:

1. Characters (`characters`): invisible characters are removed; fractions (½), raised digits, digits of other scripts,
   thousands with spaces (10 000), dashes and minus signs get one form.
2. Numbers of more than 15 digits digit by digit; web and mail addresses and names of files (`addresses`).
3. Abbreviations (`abbreviations`), then initials, Roman numerals and single letters (`letters`).
4. Dates and decades, then times of day (`dates`).
5. Versions (2.0.1), IP addresses and telephone numbers (`addresses`).
6. Signs: minus, plus, about, times (`marks`).
7. Money, percentages and units, one amount or a range; then units without a number (`quantities`).
8. Marks beside numbers, such as #5 (`marks`).
9. Ordinals, ranges of numbers, fractions and other slashes, ratios, powers, years, codes (MP3), then every remaining
   number (`number_forms`).
10. Words for the remaining marks (&, @, +, =), and spaces (`marks`).

How forms are read: 4 digits from 1100 to 2099 are a year; 10-15 is "ten to fifteen", and so are scores (3-1); a date in
digits is read in American order unless the first number is above 12 or full stops separate it; telephone numbers are
read digit by digit with "oh" for zero; -5 is "minus five".
"""

import re
from functools import cache

from amphion_core.text.english import (
    abbreviations,
    addresses,
    dates,
    letters,
    marks,
    number_forms,
    quantities,
)
from amphion_core.text.english.characters import plain_characters
from amphion_core.text.english.rules import Replacement, Rule

_DIGIT, _STOP, _MARK = re.compile(r"\d"), re.compile(r"\."), re.compile(r"[^\w\s.,;:!?'\"()-]|_")
_CAPITALS = re.compile(r"\b(?:[IVXLCDM]+|[ivx]{2,}|A)\b|&|/|WW|[A-F]-")

_ORDER: tuple[tuple[re.Pattern[str], tuple[Rule, ...]], ...] = (
    (re.compile(r"[.:@]|\d{16}|\d,\d{3},"), addresses.ADDRESS_RULES),
    (re.compile("/"), abbreviations.SLASH_RULES),
    (_STOP, abbreviations.STOP_RULES),
    (re.compile(""), abbreviations.WORD_RULES),
    (_STOP, letters.INITIAL_RULES),
    (_CAPITALS, letters.ROMAN_RULES),
    (_CAPITALS, letters.LETTER_RULES),
    (re.compile(r"[\d.\u2010-]"), dates.NAME_RULES),
    (_DIGIT, dates.DATE_RULES),
    (_STOP, dates.SHORT_MONTH_RULES),
    (_DIGIT, dates.DECADE_RULES),
    (_DIGIT, dates.TIME_RULES),
    (re.compile(r"\b[ap](?:\.\s?| )m\b|o'clock", re.I), dates.HALF_DAY_RULES),
    (_DIGIT, addresses.NUMBER_RULES),
    (_DIGIT, marks.SIGN_RULES),
    (_DIGIT, quantities.RULES),
    (re.compile("/|\u2191"), quantities.BARE_RULES),
    (_MARK, marks.MARK_RULES),
    (_DIGIT, number_forms.RULES),
    (_MARK, marks.LAST_RULES),
    (re.compile(""), marks.SPACE_RULES),
)
"""The rules in their order. A group is left out where the text has nothing that its first pattern finds."""


@cache
def _compiled(group: int) -> list[tuple[re.Pattern[str], Replacement]]:
    """The rules of a group of ``_ORDER``. Most texts need few groups, and compiling all takes as long as a sentence."""
    return [(re.compile(pattern), replacement) for pattern, replacement in _ORDER[group][1]]


def normalize_english(text: str) -> str:
    """Write digits, symbols and abbreviations in ``text`` as words; punctuation and case are kept.

    The time is proportional to the length of the text. The result contains no digits, and a second call changes
    nothing.

    >>> normalize_english("Dr. Smith paid $3.50 on the 3rd of May 1984.")
    'doctor Smith paid three dollars and fifty cents on the third of May nineteen eighty-four.'
    """
    for _ in range(_MOST_PASSES):
        before, text = text, _one_pass(text)
        if text == before:
            break
    return text


_MOST_PASSES = 5
"""A pass may bring an abbreviation into view for the next one; the second pass nearly always changes nothing."""


def _one_pass(text: str) -> str:
    text = plain_characters(text)
    for group, (needed, _) in enumerate(_ORDER):
        if needed.search(text):
            for pattern, replacement in _compiled(group):
                text = pattern.sub(replacement, text)
    return text.strip()
