"""Every usual way to say an English number: cardinals, ordinals, years, single digits, pairs, decimals, fractions.

Functions return readings in the notation of `amphion_eval.analysis.readings`. They are independent of the text
frontends, so that a frontend's mistake is not repeated in the reference; and libraries such as num2words and inflect
give one way to say a number, where an evaluation needs all of them.
"""

import re
from functools import lru_cache
from itertools import groupby

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("", "thousand", "million", "billion", "trillion")
LONGEST = 15  # digits; longer numbers are read digit by digit
NUMBER_WORDS = frozenset({*ONES, *TENS[2:], "hundred", *SCALES[1:]})
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
ORDINAL_WORDS = frozenset(
    _ORDINALS.get(word, word[:-1] + "ieth" if word.endswith("y") else word + "th") for word in NUMBER_WORDS
)
_ZERO = "(zero|o)"  # "oh" is written "o" in readings, as the letter of the same sound


@lru_cache(maxsize=1024)
def cardinal(number: int) -> str:
    """The number as a quantity, at most 15 digits.

    >>> cardinal(1101)
    '(one|a) thousand one hundred [and] one'
    """
    if number < 100:
        return _below_hundred(number)
    groups = []
    rest = number
    while rest:
        rest, group = divmod(rest, 1000)
        groups.append(group)
    words: list[str] = []
    for place in reversed(range(len(groups))):
        hundreds, low = divmod(groups[place], 100)
        if hundreds:
            words += ["(one|a)" if hundreds == 1 and not words else ONES[hundreds], "hundred"]
        if low:
            if words:
                words.append("[and]")
            alone = low == 1 and place and not words
            words.append("(one|a)" if alone else _below_hundred(low))
        if place and groups[place]:
            words.append(SCALES[place])
    return " ".join(words)


def ordinal(number: int) -> str:
    """The number as a rank: 21 is twenty first."""
    *before, last = cardinal(number).split()
    before = ["[one]" if word == "(one|a)" else word for word in before]  # "hundredth", "one hundredth"
    return " ".join([*before, _rank(last)])


def plural(reading: str) -> str:
    """The reading with its last word in the plural: eighty, eighties.

    >>> plural("nineteen eighty")
    'nineteen eighties'
    """
    *before, last = reading.split()
    last = last[:-1] + "ies" if last.endswith("y") else last + ("es" if last.endswith("x") else "s")
    return " ".join([*before, last])


def digits(text: str) -> str:
    """Digit by digit; zero is also "oh", and equal digits in a row are also "double" and "triple"."""
    found = []
    for digit, run in groupby(text):
        number, name = len(list(run)), ONES[int(digit)]
        names = ("zero", "o") if digit == "0" else (name,)
        if number == 2:
            found.append(
                f"({'|'.join(f'{one} {two}' for one in names for two in names)}|double {'|double '.join(names)})"
            )
        elif number == 3:
            same = "|".join(f"{each} {each} {each}|triple {each}|double {each} {each}" for each in names)
            found.append(f"({same})")
        else:
            found += [f"({'|'.join(names)})" if len(names) > 1 else name] * number
    return " ".join(found)


def pair(text: str) -> str:
    """Two digits as in years and times: 05 is oh five, 00 is hundred, 30 is thirty."""
    if text == "00":
        return "hundred"
    return f"{_ZERO} {ONES[int(text[1])]}" if text[0] == "0" else _below_hundred(int(text))


def year(text: str) -> list[str]:
    """Readings of four digits in pairs: 1984, 1905, 1900. 2005 also as twenty oh five."""
    high, low = int(text[:2]), text[2:]
    if text[0] == "0" or (low == "00" and high % 10 == 0):
        return []
    name = _below_hundred(high)
    found = [f"{name} {pair(low)}"]
    if high % 10:  # fifteen hundred and five
        found.append(f"{name} hundred" + ("" if low == "00" else f" [and] {_below_hundred(int(low))}"))
    return found


def integer(text: str, *, spelled: bool) -> list[str]:
    """Readings of digits without separators. ``spelled``: two equal or four digits may also be read one by one."""
    if text == "0":
        return ["(zero|o|nought)"]
    number = int(text) if len(text) <= LONGEST else None
    if number is None or len(text) > 4 or text[0] == "0" < text[1:]:
        found = [digits(text)] if number is None or text[0] == "0" else [cardinal(number), digits(text)]
        return found + ([_pairs(text)] if len(text) in (4, 5, 6, 8) else [])
    found = [cardinal(number)]
    if len(text) == 2 and text[0] == text[1] and spelled:
        found.append(f"double {ONES[number % 10]}")
    if len(text) == 4:
        found += year(text)
    if len(text) == 3:
        found += [f"{ONES[int(text[0])]} {pair(text[1:])}", digits(text)]
    if len(text) == 4 and spelled:
        found.append(digits(text))
    return found


def decimals(whole: str, part: str, *, heard: bool) -> list[str]:
    """Readings of ``whole.part``. ``heard``: also what a recogniser may write so, as 3.14 for three point fourteen."""
    before = integer(whole, spelled=False) if whole.strip("0") else ["(zero|o|nought|)"]
    found = [f"{each} (point|dot) {digits(part)}" for each in before]
    if heard and len(part) == 2 and part[0] != "0":
        found += [f"{each} point {_below_hundred(int(part))}" for each in before]
    halves = {"5": "(a|one) half", "25": "(a|one) quarter", "75": "three quarters"}
    if part in halves:
        found += [f"{each} and {halves[part]}" for each in before] if whole.strip("0") else [halves[part]]
        found += ["half (a|an)"] if part == "5" and not whole.strip("0") else []
    return found


def fraction(top: int, bottom: int) -> list[str]:
    """Readings of top / bottom: 1/2 is one half, a half, half; 3/4 is three quarters or three fourths."""
    found = [f"{cardinal(top)} over {cardinal(bottom)}"]
    if not 1 < bottom <= 1000:
        return found
    names = {2: ["half"], 4: ["quarter", "fourth"]}.get(bottom) or [ordinal(bottom)]
    if top == 1:
        return [*(f"(one|a|an) {name}" for name in names), *(["half", "half (a|an)"] if bottom == 2 else []), *found]
    return [*(f"{cardinal(top)} {'halves' if bottom == 2 else name + 's'}" for name in names), *found]


def ends_in_number(words: str) -> bool:
    """Whether the last word is a number word or an ordinal."""
    last = re.sub(r"[^a-z]", " ", words).split()[-1:]
    return bool(last) and (last[0] in NUMBER_WORDS or last[0] in ORDINAL_WORDS)


def _below_hundred(number: int) -> str:
    if number < 20:
        return ONES[number]
    return f"{TENS[number // 10]} {ONES[number % 10]}" if number % 10 else TENS[number // 10]


def _pairs(text: str) -> str:
    first = text[: len(text) % 2]
    return " ".join([digits(first), *(pair(text[at : at + 2]) for at in range(len(first), len(text), 2))])


def _rank(word: str) -> str:
    return _ORDINALS.get(word, word[:-1] + "ieth" if word.endswith("y") else word + "th")
