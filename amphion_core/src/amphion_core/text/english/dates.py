"""Say dates, decades and times of day."""

import re

from amphion_core.text.english.characters import RANGE_DASH
from amphion_core.text.english.letters import SENTENCE_ENDS
from amphion_core.text.english.numbers import cardinal, code, ordinal, plural, two_digits, year
from amphion_core.text.english.rules import Rule, after, before

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHORT = {name[:3].lower(): name for name in _MONTHS} | {"sept": "September"}
_DAYS = {
    "mon": "Monday", "tue": "Tuesday", "tues": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "thur": "Thursday",
    "thurs": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday",
}  # fmt: skip
_PLAIN = r"(?i:january|february|april|june|july|august|september|october|november|december)|March|MARCH|May|MAY"
_SHORTER = rf"(?:(?i:jan|feb|apr|jun|jul|aug|sept?|oct|nov)|Dec|DEC|dec|Mar|MAR)\b(?:\.(?!{SENTENCE_ENDS}))?"
_MONTH = rf"(?P<month>\b(?:{_PLAIN})\b|\b(?:{_SHORTER}))"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?P<year>[1-9]\d{3})(?![\d:/]|[.,]\d)"
_TO = rf"(?:-|\s?{RANGE_DASH}\s?| - )"
_NOT_IN_NUMBER = r"(?<![\w/.:-])(?<!\d,)"
_AFTER_DAY = r"(?![\w/:%°])(?![.,]\d)(?!\s?(?:%|km|kg|people|percent|million|billion|thousand)\b)(?!-\d)"
_FUNCTION_WORDS = (
    r"is|was|at|in|and|to|or|for|the|through|of|from|with|by|as|will|has|had|be|we|it|he|she|they|you|on|until|till"
    r"|when|after|before|a|an|this|that|last|next|but|if|because|so"
)


def month_name(month: int) -> str:
    """January for 1."""
    return _MONTHS[month - 1]


def _month(text: str) -> str:
    return _SHORT.get(text.rstrip(".").lower(), text)


def _day_month_year(day: int, month: int, number: str) -> str:
    return f"{_MONTHS[month - 1]} {ordinal(day)} {year(_full_year(number))}"


def _full_year(text: str) -> int:
    return int(text) if len(text) != 2 else int(text) + (2000 if int(text) < 50 else 1900)


def _iso_date(match: re.Match[str]) -> str:
    month, day = int(match[3]), int(match[4])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return _day_month_year(day, month, match[1]) + (" " if match[5] else "")


def _short_date(match: re.Match[str]) -> str:
    """1/2/2024 in American order; the day is first where the first number is above 12 or full stops separate."""
    first, second = int(match[1]), int(match[3])
    month, day = (second, first) if first > 12 or match[2] == "." else (first, second)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return _day_month_year(day, month, match[4])


def _month_of_year(match: re.Match[str]) -> str:
    """2024-01 is January 2024; 2010-12, with a later year in two digits, is a range of years."""
    month, low = int(match[2]), int(match[1][2:])
    if not 1 <= month <= 12 or month > low:
        return match[0]
    return f"{_MONTHS[month - 1]} {year(int(match[1]))}"


def _day_first(match: re.Match[str]) -> str:
    """5 January 2024, and 5-10 January 2024. "may 5" and "march 5" in small letters are verbs."""
    the = "" if match["the"] else "the "
    until = f"{ordinal(int(match['first']))} to the " if match["first"] else ""
    words = f"{match['the'] or ''}{the}{until}{ordinal(int(match['day']))} of {_month(match['month'])}"
    number = match["year"] or match["short"]
    return f"{words} {year(_full_year(number))}" if number else words


def _month_first(match: re.Match[str]) -> str:
    """January 5, with its range. "In January 5 people" and "May 5 people enter?" are no dates."""
    first = match["in"] or ""
    if not match["nth"] and _counts_things(match) and (first or match["month"] in ("May", "March")):
        return match[0]
    words = f"{first}{_month(match['month'])} {ordinal(int(match['day']))}"
    return f"{words} to {ordinal(int(match['last']))}" if match["last"] else words


def _counts_things(match: re.Match[str]) -> bool:
    """Whether the number after a month, at the start of a sentence or after "in", counts the things after it."""
    starts = match["in"] or not re.search(r"\w,?\s*$", before(match, 5))
    return bool(starts and re.match(rf" (?!(?:{_FUNCTION_WORDS})\b)[a-z]", after(match, 20)))


def _decade(match: re.Match[str]) -> str:
    """1980s, '80s and the 80s."""
    number = int(match["number"])
    if match["number"] == "00":
        return "two thousands"
    return plural(year(number) if number > 99 else cardinal(number))


def _clock(hour: str, minute: str | None, second: str | None, half: str) -> str:
    words = cardinal(int(hour))
    if minute and int(minute):
        words += f" {two_digits(int(minute))}"
    elif minute and not half and not second:
        words += " o'clock" if 0 < int(hour) < 13 else " hundred"
    elif second and not int(minute or 0):
        words += " hundred"
    if second and int(second):
        words += f" and {cardinal(int(second))} second{'' if int(second) == 1 else 's'}"
    return words + (f" {half}" if half else "")


def _half(text: str | None) -> str:
    """The letters of a.m. and p.m.: the A has a hyphen, so that it is not read as the article."""
    return {"a": "a-m", "p": "p m"}[text[0].lower()] if text else ""


def _time(match: re.Match[str]) -> str:
    hour, minute, second = match["hour"], match["minute"], match["second"]
    if int(hour) > (12 if match["half"] and not minute else 24) or int(minute or 0) > 59 or int(second or 0) > 59:
        return match[0]
    return _clock(hour, minute, second, _half(match["half"])) + (
        _stop(match) or (" " if after(match, 1) == "Z" else "")
    )


def _stop(match: re.Match[str]) -> str:
    """The full stop after a.m. and p.m. where it ends the sentence."""
    if not match["half"] or not match["half"].endswith("."):
        return ""
    ends = re.match(rf"[\"')\]]*(?:$|\s+[\"'(]*(?!{_SAME_SENTENCE})[A-Z])", after(match, 20))
    return "." if ends else ""


_SAME_SENTENCE = (
    rf"(?:{'|'.join(_MONTHS)}|{'|'.join(_DAYS.values())}|[A-Z]{{2,4}}|Eastern|Central|Mountain|Pacific|Greenwich)\b"
)


def _verses(match: re.Match[str]) -> str:
    """John 3:16-18."""
    verse = two_digits(int(match[2])) if len(match[2]) > 1 else cardinal(int(match[2]))
    return f"{cardinal(int(match[1]))} {verse} to {cardinal(int(match[3]))}"


def _time_range(match: re.Match[str]) -> str:
    half, half_2 = _half(match["half_1"]), _half(match["half"])
    hours, minutes = (int(match["hour_1"]), int(match["hour"])), (match["minute_1"], match["minute"])
    if max(hours) > 24 or any(int(minute or 0) > 59 for minute in minutes):
        return match[0]
    if not half_2 and not half and (not all(minutes) or "." in match[0]):
        return match[0]
    start = _clock(match["hour_1"], match["minute_1"], None, half or (" " if half_2 else "")).rstrip()
    return f"{start} to {_clock(match['hour'], match['minute'], None, half_2)}{_stop(match)}"


_CLOCK = r"(?P<hour{0}>\d{{1,2}})(?:[:.](?P<minute{0}>\d\d)(?!\d))?(?:\s?(?P<half{0}>(?i:[ap]\.\s?m\.|[ap]\.?m\b)))?"
_TIMED = r"\b(?:in|for|after|every|within|takes?|took|lasts?|lasted|waited|wait|than|about|under|over|=)\s$"


_TIMED_NOUN = "timeout|delay|timer|pause|wait|interval|window|clip|video|ad|break|limit|countdown|hold|rest|later|ago"


def _bare_decade(match: re.Match[str]) -> str:
    """80s is the decade, but "in 30s" and "a 30s delay" are seconds."""
    if re.match(rf" (?:{_TIMED_NOUN})", after(match, 12)):
        return match[0]
    return match[0] if re.search(_TIMED, before(match, 10)) else _decade(match)


_LONG_DAY, _LONG_MONTH = "|".join(_DAYS.values()), "|".join(_MONTHS)
_SHORT_DAY, _SHORT_MONTH = "Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun", "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"


def _name(match: re.Match[str]) -> str:
    """The long name of a day or a month; a hyphen after it becomes "to"."""
    short = match[1].lower()
    return (_DAYS.get(short) or _SHORT.get(short) or match[1]) + (" to " if match[2] else "")


NAME_RULES: tuple[Rule, ...] = (
    (
        rf"\b({_SHORT_DAY}|{_LONG_DAY})\.?([-{RANGE_DASH}])(?=(?:{_SHORT_DAY}|{_LONG_DAY})\b)",
        _name,
    ),
    (rf"\b(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|(?<=[a-z] )Sat|(?<=on )Sun)()(?=\.{SENTENCE_ENDS})", _name),
    (rf"\b({_SHORT_DAY})()\.(?=[,;:?!)]| \w)(?!{SENTENCE_ENDS})", _name),
    (rf"\b({_SHORT_DAY})()(?= to |,? (?:{_SHORT_MONTH})\b|,? (?:{_LONG_MONTH})\b|,? \d)", _name),
    (rf"(?<=day to )({_SHORT_DAY})()\b\.?", _name),
    (rf"\b({_SHORT_MONTH}|{_LONG_MONTH})\.?([-{RANGE_DASH}])(?=(?:{_SHORT_MONTH}|{_LONG_MONTH})\b)", _name),
    (rf"\b((?:{_SHORT_MONTH}|{_LONG_MONTH})\.? \d{{1,2}}){_TO}(?=(?:{_SHORT_MONTH}|{_LONG_MONTH})\b)", r"\1 to "),
    (
        rf"\b(\d{{1,2}} (?:{_SHORT_MONTH}|{_LONG_MONTH})\.?){_TO}(?=\d{{1,2}} (?:{_SHORT_MONTH}|{_LONG_MONTH})\b)",
        r"\1 to ",
    ),
)
"""Ranges of days and months, and short names of days."""

DATE_RULES: tuple[Rule, ...] = (
    (
        rf"{_NOT_IN_NUMBER}(\d{{4}})([-/.{RANGE_DASH}])(\d{{1,2}})\2(\d{{1,2}})(?:(T)(?=\d\d:)|(?![\w/-])(?!\.\d))",
        _iso_date,
    ),
    (rf"{_NOT_IN_NUMBER}(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}})(?![\w/-])(?!\.\d)", _short_date),
    (rf"{_NOT_IN_NUMBER}(\d{{1,2}})(/)(\d{{1,2}})/(\d\d)(?![\w/-])(?!\.\d)", _short_date),
    (rf"{_NOT_IN_NUMBER}(\d\d)(-)(\d\d)-(\d\d)(?![\w/-])(?!\.\d)", _short_date),
    (rf"{_NOT_IN_NUMBER}(1[5-9]\d\d|20\d\d)-(0[1-9]|1[0-2])(?![\w/-])(?!\.\d)", _month_of_year),
    (
        rf"(?P<the>\b[Tt]he )?{_NOT_IN_NUMBER}(?:(?P<first>[12]?\d|3[01])(?:st|nd|rd|th)?{_TO})?{_DAY}(?:st|nd|rd|th)?"
        rf"[ /-](?:of )?{_MONTH}(?:(?:,? |[-/]){_YEAR}|-(?P<short>\d\d)(?!\d))?(?!\w)",
        _day_first,
    ),
    (
        rf"(?P<in>\b[Ii]n )?{_MONTH}[ -]{_DAY}(?P<nth>st|nd|rd|th)?"
        rf"(?:{_TO}(?P<last>[12]?\d|3[01])(?:th|st|nd|rd)?)?{_AFTER_DAY}",
        _month_first,
    ),
    (
        r"\b(on|by|until|till|since|before|after|from|of) (may|march|mar) "
        r"([12]?\d|3[01])(?:st|nd|rd|th)?\b(?![.,:]?\d)",
        lambda m: f"{m[1]} {_month(m[2])} {ordinal(int(m[3]))}",
    ),
    (rf"\b(?P<month>{_SHORTER})(?=,? (?:of )?[1-9]\d{{3}}\b)", lambda m: _month(m["month"])),
)
"""Dates with digits and with names of months."""

SHORT_MONTH_RULES: tuple[Rule, ...] = (
    (rf"\b({_SHORT_MONTH})()(?=\.{SENTENCE_ENDS})", _name),
    (rf"\b({_SHORT_MONTH})()\.(?!\w)", _name),
)
"""Short names of months with a full stop, which stays where it ends the sentence."""

DECADE_RULES: tuple[Rule, ...] = (
    (rf"(?<![\w.,])(\d{{2,4}}'?s)(?:-|\s?{RANGE_DASH}\s?)(?='?\d{{2,4}}'?s\b)", r"\1 to "),
    (r"(?<![\w.,])(10{1,6})s(?= of\b)", lambda m: plural(cardinal(int(m[1])).removeprefix("one "))),
    (r"(?<![\w.,])'?(?P<number>[1-9]\d\d0)'?s\b", _decade),
    (r"\b([Tt]he|[Tt]hese|[Tt]hose|of) ([1-9]\d[1-9])s\b", lambda m: f"{m[1]} {plural(code(m[2]))}"),
    (r"(?<![\w.,])'(?P<number>\d0)'?s\b", _decade),
    (
        r"(?i)\b((?:the|her|his|our|my|their|your|its|early|late|mid|low|high|upper|lower)[ -])'?(?P<number>\d0)'?s\b",
        lambda m: m[1] + _decade(m),
    ),
    (r"(?<![\w.,$£€'])(?P<number>[1-9]0)'?s\b(?!/)", _bare_decade),
    (
        rf"(?<!\w)'(\d\d)\s?[-{RANGE_DASH}]\s?'?(\d\d)\b(?!')",
        lambda m: f"{two_digits(int(m[1]))} to {two_digits(int(m[2]))}",
    ),
    (r"(?<!\w)'(\d\d)\b(?!')", lambda m: two_digits(int(m[1]))),
)
"""Decades, and years of two digits after an apostrophe."""

_HALF = r"(?i:[ap]\.\s?m\.|[ap]\.?m\b)"
TIME_RULES: tuple[Rule, ...] = (
    (rf"\b(noon|midnight)\s?[-{RANGE_DASH}]\s?(?=\d)", r"\1 to "),
    (rf"(?i)(\d\s?[ap]\.?m\.?)\s?[-{RANGE_DASH}]\s?(?=(?:noon|midnight)\b)", r"\1 to "),
    (r"(?<![\w.:,/$£€])(?P<hour>\d{1,2}):(?P<minute>\d\d)(?P<second>)(?P<half>[ap])(?!\w|\.\s?[mM])", _time),
    (rf"(?<![\w.:,/$£€])(?<!\d-){_CLOCK.format('_1')}{_TO}{_CLOCK.format('')}(?![\w:%])(?!\.\d)", _time_range),
    (rf"(?<![\w.:,/$£€-])(\d{{1,3}}):(\d{{1,3}})[-{RANGE_DASH}](\d{{1,3}})(?![\w:]|\s?[ap]\.?m)", _verses),
    (rf"(?<![\w.:,/$£€-])(?P<hour>1[0-2]|[1-9])(?P<minute>[0-5]\d)(?P<second>)\s?(?P<half>{_HALF})", _time),
    (
        rf"(?<![\w.:,/$£€])(?P<hour>\d{{1,2}})(?:[:.](?P<minute>\d\d))?(?::(?P<second>\d\d))?\s?(?P<half>{_HALF})",
        _time,
    ),
    (r"(?<![\w.:,/])(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?!:)(?![^\WZ])(?!\.\d)(?P<half>)", _time),
)
"""Times of day and ranges of them."""

HALF_DAY_RULES: tuple[Rule, ...] = (
    (r"(?<![\w.])(?P<half>(?i:[ap]\.\s?m\.))", lambda m: _half(m["half"]) + _stop(m)),
    (r"(?<![\w.])(?P<half>(?i:[ap]\.m))\b", lambda m: _half(m["half"])),
    (r"o'clock (?=o'clock|noon|midnight)", ""),
    (r"\b[Aa] [Mm]\b(?!['.]\w)", "a-m"),
)
"""The letters of a.m. and p.m. after words."""
