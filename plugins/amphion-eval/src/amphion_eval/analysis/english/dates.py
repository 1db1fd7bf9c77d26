"""Readings of English dates, times of day and decades. Dates in digits may have day and month in either order."""

import re

from amphion_eval.analysis.english.numbers import ONES, cardinal, decimals, digits, integer, ordinal, pair, plural, year
from amphion_eval.analysis.english.scan import Rule, Scan
from amphion_eval.analysis.english.words import MONTH_NUMBERS, MONTHS
from amphion_eval.analysis.readings import Span, distinct

_NAMES = "|".join(sorted(MONTH_NUMBERS, key=len, reverse=True))
_SUFFIX = "st|nd|rd|th"
_AMBIGUOUS = frozenset({"may", "march", "mar"})  # words with another meaning in small letters
_TIME_WORDS = frozenset((
    "at", "by", "until", "till", "from", "before", "after", "around", "about", "past", "since", "between", "to",
))  # fmt: skip
_DATE_WORDS = frozenset(["on", "by", "until", "till", "since", "before", "after", "dated", "from"])
_BEFORE_SECONDS = frozenset({"in", "a", "after", "for", "within", "took", "takes", "another"})
_MONTH_DAY = re.compile(
    rf"(?P<month>{_NAMES})\b\.?,?\s+(?P<day>\d{{1,2}})(?:(?P<suffix>{_SUFFIX})\b)?(?![\d:%]|[.,/]\d)"
    rf"(?:\s?[-–]\s?(?P<last>\d{{1,2}})(?:{_SUFFIX})?(?![\d:%]|[.,/]\d))?",
    re.IGNORECASE,
)
_DAY_MONTH = re.compile(
    rf"(?:(?P<first>\d{{1,2}})(?:{_SUFFIX})?\s?[-–]\s?)?(?P<day>\d{{1,2}})(?P<suffix>{_SUFFIX})?\s+(?P<of>of\s+)?(?P<month>{_NAMES})\b\.?(?![a-z])",
    re.IGNORECASE,
)
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(?P<one>\d{1,2})(?P<mark>[-/.])(?P<two>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})(?!\d|\.\d)")
_NAMED_MONTH = re.compile(
    rf"(?P<day>\d{{1,2}})(?P<mark>[-/])(?P<month>{_NAMES})(?P=mark)(?P<year>\d{{4}}|\d{{2}})(?!\d)", re.IGNORECASE
)
_SLASHED = re.compile(r"(?P<one>\d{1,2})/(?P<two>\d{1,2})(?![\d/])")
_TIME = re.compile(r"(?P<hour>\d{1,2})(?P<mark>[:.])(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?!\d|[.:]\d)")
_HALF_DAY = re.compile(r"\s?[ap]\.?\s?m\b", re.IGNORECASE)
_TIME_RANGE = re.compile(r"\s?[-–]\s?\d{1,2}[:.]\d{2}\s?[ap]\.?\s?m\b", re.IGNORECASE)
_DECADE = re.compile(r"['’]?(?P<digits>\d{2}|\d{4})['’]?s\b")


def _month_day(found: re.Match[str], scan: Scan) -> list[Span] | None:
    name, day = found["month"], int(found["day"])
    small = name.casefold()
    sure = found["suffix"] or scan.heard or scan.before.casefold() in ("on", "since", "until")
    if not 1 <= day <= 31 or (name.islower() and small in _AMBIGUOUS and not sure):
        return None
    month = MONTHS[MONTH_NUMBERS[small] - 1]
    number = "" if found["suffix"] else f"|{cardinal(day)}"
    rank = ordinal(day)
    spans: list[Span] = [(f"{month} (the {rank}|{rank}{number})", f"[the] {rank} of {month}")]
    if found["last"] and day < int(found["last"]) <= 31:
        last = int(found["last"])
        spans += [("(to|through|until|till|and)",), (f"(the {ordinal(last)}|{ordinal(last)}|{cardinal(last)})",)]
    elif found["last"]:
        return None
    return spans


def _day_month(found: re.Match[str], scan: Scan) -> list[Span] | None:
    name, day = found["month"], int(found["day"])
    small = name.casefold()
    if not 1 <= day <= 31 or (name.islower() and small in _AMBIGUOUS and not (found["suffix"] or scan.heard)):
        return None
    rank = ordinal(day)
    number = "" if found["suffix"] or found["of"] else f"|{cardinal(day)}"
    the = "" if scan.before.casefold() == "the" else f"the {rank} of|the {rank}|"
    first: list[Span] = []
    if found["first"]:
        low = int(found["first"])
        if not 1 <= low < day:
            return None
        first = [(f"(the {ordinal(low)}|{ordinal(low)}|{cardinal(low)})",), ("(to|through|until|till|and)",)]
    month = MONTHS[MONTH_NUMBERS[small] - 1]
    american = [] if first else [f"{month} {rank}"]  # "May fifth"
    return [*first, (f"({the}{rank} of|{rank}{number}) {month}", *american)]


def _spoken_dates(day: int, month: int, years: list[str]) -> list[str]:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return []
    name, rank = MONTHS[month - 1], ordinal(day)
    return [
        form
        for each in years or [""]
        for form in (
            f"{name} (the {rank}|{rank}|{cardinal(day)}) {each}",
            f"(the {rank} of|{rank} of|the {rank}|{rank}|{cardinal(day)}) {name} {each}",
        )
    ]


def _year_first(found: re.Match[str], scan: Scan) -> list[Span] | None:
    day, month = int(found["day"]), int(found["month"])
    years = _years(found["year"])
    readings = _spoken_dates(day, month, years)
    if found["mark"] == "/":
        readings += _spoken_dates(month, day, years)
    if not readings:
        return None
    name, rank = (MONTHS[month - 1], ordinal(day)) if month <= 12 else (MONTHS[day - 1], ordinal(month))
    mark = "(slash|)" if found["mark"] == "/" else "(dash|minus|hyphen|)" if found["mark"] == "-" else "(dot|point|)"
    for each in years:
        readings += [
            f"{each} {name} (the {rank}|{rank}|{cardinal(day)})",
            f"{each} {mark} {_two(found['month'])} {mark} {_two(found['day'])}",
        ]
    return [distinct(readings)]


def _year_last(found: re.Match[str], scan: Scan) -> list[Span] | None:
    one, two = int(found["one"]), int(found["two"])
    years = _years(found["year"])
    day_first, month_first = _spoken_dates(one, two, years), _spoken_dates(two, one, years)
    readings = day_first + ([] if found["mark"] == "." and day_first else month_first)
    if not readings:
        return None
    mark = {"/": "(slash|)", "-": "(dash|minus|hyphen|)", ".": "(dot|point|)"}[found["mark"]]
    readings += [f"{_two(found['one'])} {mark} {_two(found['two'])} {mark} {each}" for each in years]
    return [distinct(readings)]


def _named_month(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A date such as 05-Jan-2024."""
    readings = _spoken_dates(int(found["day"]), MONTH_NUMBERS[found["month"].casefold()], _years(found["year"]))
    return [distinct(readings)] if readings else None


def _slashed(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A day and a month without a year, where the context shows one; 9/11 always."""
    one, two = int(found["one"]), int(found["two"])
    known = (one, two) == (9, 11)
    if not known and scan.before.casefold() not in _DATE_WORDS:
        return None
    readings = _spoken_dates(two, one, []) + ([] if known else _spoken_dates(one, two, []))
    return [distinct([*readings, f"{cardinal(one)} (slash|) {cardinal(two)}"])] if readings else None


def _years(text: str) -> list[str]:
    if len(text) == 2:
        return [f"(twenty|nineteen|) {pair(text)}" if text != "00" else "two thousand"]
    return [cardinal(int(text)), *year(text)]


def _two(text: str) -> str:
    """One or two digits of a date as a number; a zero before it may be said."""
    return f"[zero] {ONES[int(text)]}" if text[0] == "0" and int(text) else cardinal(int(text))


def read_time(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A time of day. Written with a stop, as 5.30, it may also be a number."""
    hour, minute, second = int(found["hour"]), int(found["minute"]), found["second"]
    if hour > 24 or minute > 59 or (second and int(second) > 59):
        return None
    sure = bool(_HALF_DAY.match(scan.text, found.end()) or _TIME_RANGE.match(scan.text, found.end()))
    if found["mark"] == "." and not (sure or scan.heard or scan.before.casefold() in _TIME_WORDS):
        return None
    readings = clock(hour, found["minute"], second)
    if found["hour"][0] == "0" and len(found["hour"]) == 2:
        readings += [f"(zero|o) {each}" for each in readings[:1]]
    if found["mark"] == "." and not sure:
        readings += decimals(found["hour"], found["minute"], heard=scan.heard)
    return [distinct(readings)]


def clock(hour: int, minute: str, second: str | None = None) -> list[str]:
    """Readings of a time of day.

    >>> clock(5, "30")[:2]
    ['five thirty', 'half past five']
    """
    names = [cardinal(hour)] + ([cardinal(hour - 12)] if hour > 12 else ["twelve"] if hour == 0 else [])
    now, after = int(minute), cardinal(hour % 12 + 1)
    if second:
        end = f"[and] {cardinal(int(second))} [{'second' if int(second) == 1 else 'seconds'}]"
        readings = [f"{name} {pair(minute) if now else digits(minute)} {end}" for name in names]
        hours = f"{names[0]} {'hour' if hour == 1 else 'hours'}"
        return [*readings, f"{hours} [and] {cardinal(now)} {'minute' if now == 1 else 'minutes'} {end}"]
    if not now:
        return [
            *names,
            *(f"{name} oclock" for name in names),
            f"{names[0]} hundred [hours]",
            f"{names[0]} {digits(minute)}",
        ]
    readings = [f"{name} {pair(minute)}" for name in names]
    for name in names:
        if now == 30:
            readings.append(f"half past {name}")
        elif now == 15:
            readings.append(f"[a] quarter (past|after) {name}")
        elif now % 5 == 0 and now < 30:
            readings.append(f"{cardinal(now)} [minutes] (past|after) {name}")
    if now == 45:
        readings.append(f"[a] quarter (to|of|before) {after}")
    elif now % 5 == 0 and now > 30:
        readings.append(f"{cardinal(60 - now)} [minutes] (to|before|of) {after}")
    return readings


def _decade(found: re.Match[str], scan: Scan) -> list[Span] | None:
    text = found["digits"]
    if text[-1] != "0":
        return None
    if text == "00":
        return [("noughties", "aughts", "two thousands")]
    if len(text) == 2:
        seconds = [f"{cardinal(int(text))} (seconds|second)"] if scan.before.casefold() in _BEFORE_SECONDS else []
        return [distinct([plural(cardinal(int(text))), *seconds])]
    readings = [reading for reading in integer(text, spelled=False) if "[" not in reading]
    return [distinct(plural(reading.replace("(one|a) ", "")) for reading in readings)]


NUMBER_RULES: tuple[Rule, ...] = (
    (_YEAR_FIRST, _year_first),
    (_YEAR_LAST, _year_last),
    (_NAMED_MONTH, _named_month),
    (_DAY_MONTH, _day_month),
    (_SLASHED, _slashed),
    (_DECADE, _decade),
)
TIME_RULES: tuple[Rule, ...] = ((_TIME, read_time),)
WORD_RULES: tuple[Rule, ...] = ((_MONTH_DAY, _month_day),)
