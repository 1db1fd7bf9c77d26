"""Write English numbers, dates, money, units and abbreviations as words.

Used before pronunciations are looked up, and for word error rates, where "3rd" and "third" must be the same word.

The rules run in this order. An earlier rule has the right to a text that a later one would also match:

1. Characters (`characters`): invisible characters are removed; fractions (½), raised digits, digits of other scripts,
   thousands with spaces (10 000), dashes and minus signs get one form.
2. Numbers of more than 15 digits digit by digit; web and mail addresses and file names (`codes`).
3. Abbreviations, initials, Roman numerals and single letters (`names`).
4. Dates and decades, then times of day (`dates`).
5. Versions (2.0.1), IP addresses and telephone numbers (`codes`).
6. Signs: minus, plus, about, times (`codes`).
7. Money, percentages and units, one amount or a range (`quantities`).
8. Marks beside numbers (#5), ordinals, ranges of numbers, fractions and other slashes, ratios, powers, years, codes
   (MP3), then every remaining number (`codes`).
9. Words for the remaining marks (&, @, +, =), and spaces.

How forms are read: 4 digits from 1100 to 2099 are a year; 10-15 is "ten to fifteen", and so are scores (3-1); a date in
digits is read in American order unless the first number is above 12 or full stops separate it; telephone numbers are
read digit by digit with "oh" for zero; -5 is "minus five".
"""

import re

from amphion_core.text.english import codes, dates, names, quantities
from amphion_core.text.english.characters import plain_characters

_RULES = tuple(
    (re.compile(pattern), replacement) for pattern, replacement in (
    *codes.ADDRESS_RULES, *names.RULES, *dates.DATE_RULES, *dates.TIME_RULES, *codes.PHONE_RULES, *codes.SIGN_RULES,
    *quantities.RULES, *codes.MARK_RULES, *codes.NUMBER_RULES, *codes.LAST_RULES,
))  # fmt: skip


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
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return re.sub(r"\s+", " ", text).strip()
