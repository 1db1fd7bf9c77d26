"""Readings of English numbers in digits with what belongs to them: money, units, ordinals, fractions, phone numbers."""

import re

from amphion_eval.analysis.english.numbers import (
    cardinal,
    decimals,
    digits,
    fraction,
    integer,
    ordinal,
    pair,
    plural,
    year,
)
from amphion_eval.analysis.english.scan import Rule, Scan
from amphion_eval.analysis.readings import Span, distinct

_SPACE = "[\u00a0\u202f\u2009 ]"
AMOUNT = rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,3}}(?:{_SPACE}\d{{3}})+(?!{_SPACE}?\d)|\d+)(?!\d)(?:\.\d+)?|\.\d+"
_SCALES = {
    "k": "thousand", "thousand": "thousand", "m": "million", "mn": "million", "million": "million", "b": "billion",
    "bn": "billion", "billion": "billion", "t": "trillion", "tn": "trillion", "trillion": "trillion",
    "hundred": "hundred",
}  # fmt: skip
_SCALE = r"(?:[ -]?(?P<scale>thousand|million|billion|trillion|hundred|mn|bn|tn|[kmbt])(?![a-z]))?"
_MONEY = {  # one, several, one hundredth, several hundredths
    "$": ("dollar", "dollars", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence|p"),
    "€": ("euro", "euros|euro", "cent", "cents"), "¥": ("yen", "yen", "", ""), "₹": ("rupee", "rupees", "", ""),
    "₩": ("won", "won", "", ""), "₽": ("ruble", "rubles", "", ""), "¢": ("cent", "cents", "", ""),
}  # fmt: skip
_CODES = {
    "US": "(u s|american)", "AU": "(australian|a u)", "A": "(australian|a)", "CA": "(canadian|c a)",
    "C": "(canadian|c)", "NZ": "(new zealand|n z)", "HK": "(hong kong|h k)",
}  # fmt: skip
_SIGNS = "".join(_MONEY)
_RANGE_FOLLOWS = re.compile(rf"\s?[-–—]\s?[{_SIGNS}]?\.?\d")
_MONEY_BEFORE = re.compile(
    rf"(?P<minus>[-−])?(?P<code>US\s?|AU|CA|NZ|HK|A|C)?(?P<sign>[{_SIGNS}])\s?(?P<minus2>[-−])?(?P<amount>{AMOUNT}){_SCALE}"
    rf"(?P<range>\s?[-–]\s?(?P<high>{AMOUNT})(?P<high_scale>\s?(?:thousand|million|billion|trillion|mn|bn|[kmb])(?![a-z]))?)?",
    re.IGNORECASE,
)
_MONEY_AFTER = re.compile(rf"(?P<amount>{AMOUNT}){_SCALE}\s?(?P<sign>[{_SIGNS}])", re.IGNORECASE)
_ORDINAL = re.compile(r"(?P<number>\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th)\b", re.IGNORECASE)
_FRACTION = re.compile(r"(?:(?P<whole>\d{1,9})(?:[ -]|\s?and\s))?(?P<top>\d{1,3})[/⁄](?P<bottom>\d{1,4})(?![\d/])")
_FEET = re.compile(r"(?P<feet>\d{1,2})['’′]\s?(?P<inches>\d{1,2})?(?:[\"”″]|(?!\w))")
_STOPS = re.compile(r"\d{1,4}(?:\.\d{1,4}){2,8}(?![\d.]\d)")
_PHONE = re.compile(r"\+?\(?\d{1,5}\)?(?:(?:[.-]|\)?\s?)\(?\d{1,6}\)?){1,5}(?![\d-])")
_NUMBER = re.compile(AMOUNT)
_PLURAL = re.compile(r"(?P<number>\d{1,4})['’]?s\b")
_CODE_BEFORE = re.compile(r"\b(?:code|pin|number|extension|zip|password|id) (?:is|was) $", re.IGNORECASE)
_SCALE_FOLLOWS = re.compile(r"[ -](?:hundred|thousand|[mbt]r?illion|dozen|quarter|half|third)\b", re.IGNORECASE)
_NAMED = frozenset((  # words before a number that may be read digit by digit
    "room", "flight", "number", "no", "route", "line", "gate", "bus", "channel", "extension", "code", "pin",
    "model", "version", "suite", "apartment", "box", "highway", "call", "dial", "ext", "#", "part", "unit", "area",
    "zip", "platform", "train",
))  # fmt: skip

_UNITS = {  # one, several; several readings with | between
    "%": ("percent", "percent"), "‰": ("per mille", "per mille"), "¢": ("cent", "cents"),
    "km/h": ("kilometer per hour", "kilometers per hour|kilometers an hour|k m h"),
    "kmh": ("kilometer per hour", "kilometers per hour|kilometers an hour|k m h"),
    "kph": ("kilometer per hour", "kilometers per hour|kilometers an hour|k p h"),
    "mph": ("mile per hour|m p h", "miles per hour|miles an hour|m p h"),
    "m/s²": ("meter per second squared", "meters per second squared"),
    "m/s": ("meter per second", "meters per second|meters a second"), "km²": ("square kilometer", "square kilometers"),
    "m²": ("square meter", "square meters|meters squared"), "cm²": ("square centimeter", "square centimeters"),
    "m³": ("cubic meter", "cubic meters|meters cubed"), "sq ft": ("square foot", "square feet"),
    "km": ("kilometer", "kilometers|k m"), "cm": ("centimeter", "centimeters|c m"),
    "mm": ("millimeter", "millimeters|m m"), "μm": ("micrometer", "micrometers|microns"),
    "nm": ("nanometer", "nanometers"), "m": ("meter", "meters"), "kg": ("kilogram|kilo", "kilograms|kilos|k g"),
    "mg": ("milligram", "milligrams"), "μg": ("microgram", "micrograms"), "g": ("gram", "grams"), "t": ("ton", "tons"),
    "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"), "ft": ("foot", "feet"),
    "mi": ("mile", "miles"), "yd": ("yard", "yards"), "yds": ("yard", "yards"), "gal": ("gallon", "gallons"),
    "l": ("liter", "liters"), "ml": ("milliliter", "milliliters|m l"), "cl": ("centiliter", "centiliters"),
    "khz": ("kilohertz", "kilohertz"), "mhz": ("megahertz", "megahertz"), "ghz": ("gigahertz", "gigahertz"),
    "hz": ("hertz", "hertz"), "ms": ("millisecond", "milliseconds"), "s": ("second", "seconds"),
    "sec": ("second", "seconds"), "secs": ("second", "seconds"), "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"), "h": ("hour", "hours"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"),
    "yr": ("year", "years"), "yrs": ("year", "years"), "wk": ("week", "weeks"), "wks": ("week", "weeks"),
    "kb": ("kilobyte", "kilobytes|k b"), "mb": ("megabyte", "megabytes|megs|m b"),
    "gb": ("gigabyte", "gigabytes|gigs|g b"), "tb": ("terabyte", "terabytes|t b"),
    "mbps": ("megabit per second", "megabits per second"), "db": ("decibel", "decibels|d b"),
    "kw": ("kilowatt", "kilowatts"), "kwh": ("kilowatt hour", "kilowatt hours"), "mw": ("megawatt", "megawatts"),
    "w": ("watt", "watts"), "v": ("volt", "volts"), "rpm": ("r p m", "r p m|revolutions per minute"),
    "bpm": ("b p m", "b p m|beats per minute"), "fps": ("f p s", "f p s|frames per second"),
    "mpg": ("m p g", "m p g|miles per gallon"),
}  # fmt: skip
_UNIT_NAMES = "|".join(map(re.escape, sorted(_UNITS, key=len, reverse=True)))
_UNIT = re.compile(rf"(?P<space>[\s\u00a0-]?)(?P<unit>{_UNIT_NAMES})(?![a-z²³])\.?", re.IGNORECASE)
_INCHES = re.compile(
    r"\s?in\b(?P<stop>\.)?"
    r"(?P<size> (?=(?:long|wide|tall|high|deep|thick|across)(?:[.,;:!?]|$| (?:and|or|by|at|in|on|for)\b)))?"
)
_FEET_BEFORE = re.compile(r"(?:ft\.?|feet|foot|['’′])\s?\d+$")
_BARE_UNIT = re.compile(r"(?:km/h|m/s²|m/s|km²|cm²|m²)(?!\w)")
_VERSION = re.compile(r"v(?=\d)", re.IGNORECASE)
_TOLL_FREE = re.compile(r"1-(?P<code>8\d\d)-(?=[A-Z])")
_PER = re.compile(rf"/(?P<unit>{_UNIT_NAMES})(?![a-z²³])", re.IGNORECASE)
_MONEY_FRACTION = re.compile(
    rf"(?P<sign>[{_SIGNS}])(?:(?P<whole>\d{{1,9}}) )?(?P<top>\d)/(?P<bottom>[1-9]\d?)(?!\d){_SCALE}", re.IGNORECASE
)
_DEGREES = re.compile(r"\s?(?:°|º|degrees\s(?=[CF]\b))\s?(?P<scale>[CFK](?![a-z]))?")
_TEMPERATURES = {"C": "(celsius|c|centigrade)", "F": "(fahrenheit|f)", "K": "(kelvin|k)"}
_ATTACHED = re.compile(r"(?P<letter>[kKmMbBtT]|[mM]n|[bB]n|[tT]n|x|p)(?![a-zA-Z])")


def amount(text: str, *, heard: bool, spelled: bool = False) -> list[str]:
    """Readings of a number with or without separators and decimals, such as 1,234.5, 10 000 and .5."""
    whole, stop, part = text.partition(".")
    groups = re.split(rf",|{_SPACE}", whole)
    joined = "".join(groups)
    if stop and part:
        return decimals(joined or "0", part, heard=heard)
    if len(groups) == 1:
        return integer(joined, spelled=spelled or heard)
    found = [cardinal(int(joined)) if len(joined) <= 15 else digits(joined)]
    found += [each for each in year(joined) if "hundred" in each] if len(joined) == 4 else []
    return found + ([" ".join(cardinal(int(group)) for group in groups)] if " " in whole else [])


def _unit_of(sign: str, text: str) -> str:
    one, several = _MONEY[sign][0], _MONEY[sign][1]
    if text.replace(",", "") in ("1", "1.0"):
        return one
    return several if one == several else f"({several}|{one})"  # also "a five dollar bill"


def _money(found: re.Match[str], scan: Scan) -> list[Span] | None:
    sign, text, scale = found["sign"], found["amount"], found["scale"]
    letters = (found["code"] or "").strip() if "code" in found.re.groupindex else ""
    if letters != letters.upper():  # "give us $5"
        return None
    code = _CODES.get(letters, "")
    minus = ""
    if "minus" in found.re.groupindex and ((found["minus"] and scan.spaced(found)) or found["minus2"]):
        minus = "(minus|negative)"
    elif "minus" in found.re.groupindex and found["minus"]:
        return None  # a range; its sign is read by another rule
    unit = f"{code} {_unit_of(sign, text)}"
    numbers = amount(text, heard=scan.heard)
    spans: list[Span] = [(minus,)] if minus else []
    if "high" in found.re.groupindex and found["high"]:
        end = _SCALES.get((found["high_scale"] or "").strip().casefold(), "")
        low = _SCALES.get((scale or "").casefold(), "")
        spans += [distinct(f"{each} {low or (f'[{end}]' if end else '')}" for each in numbers)]
        spans += [(f"[{_MONEY[sign][1].partition('|')[0]}]",), ("(to|through|until)",)]
        high = amount(found["high"], heard=scan.heard)
        return [*spans, distinct(f"{each} {end or low} {unit}" for each in high)]
    if scale:
        word = _SCALES[scale.casefold()]
        numbers = ["(one|a)"] if text == "1" else numbers
        readings = [f"{each} {word} {code} {_unit_of(sign, '2')}" for each in numbers]
        if _RANGE_FOLLOWS.match(scan.text, found.end()):  # five to ten million dollars
            readings += [f"{each} [{word}]" for each in numbers]
        return [*spans, distinct(readings)]
    whole, _, part = text.partition(".")
    in_range = [*numbers] if _RANGE_FOLLOWS.match(scan.text, found.end()) else []
    if len(part) == 2 and _MONEY[sign][2]:
        return [*spans, distinct([*_with_cents(sign, whole, part, code, numbers, scan.heard), *in_range])]
    readings = [f"{each} {unit}" for each in numbers] + in_range
    if text.replace(",", "") == "1":
        readings.append(f"(one|a) {unit}")
    return [*spans, distinct(readings)]


def _fraction_of_money(found: re.Match[str], scan: Scan) -> list[Span]:
    """Money with a fraction: $2½ million."""
    scale = _SCALES.get((found["scale"] or "").casefold(), "")
    whole = f"{cardinal(int(found['whole']))} and " if found["whole"] else ""
    parts = fraction(int(found["top"]), int(found["bottom"]))
    return [distinct(f"{whole}{part} {scale} {_unit_of(found['sign'], '2')}" for part in parts)]


def _per(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A unit after a slash: $3.50/lb, 5 mg/kg."""
    before = scan.text[max(0, found.start() - 12) : found.start()]
    if not re.search(r"\d\s?[^\W\d]{0,9}[²³]?$", before):
        return None
    one = _UNITS[found["unit"].casefold()][0].split("|")[0]
    return [(f"(per|a|an) {one}",)]


def _with_cents(sign: str, whole: str, part: str, code: str, numbers: list[str], heard: bool) -> list[str]:
    """Readings of an amount of money with two decimals: 4.50, 0.99, 5.00."""
    number, cents = int(re.sub(r"\D", "", whole) or 0), int(part)
    unit = f"{code} {_unit_of(sign, str(number))}"
    small = f"{cardinal(cents)} {f'({_MONEY[sign][3]})' if cents != 1 else _MONEY[sign][2]}"
    readings = [f"{each} {code} {_unit_of(sign, '2')}" for each in numbers]
    full = amount(whole, heard=heard) if number else ["zero"]
    if not cents:
        return [f"{each} {unit}" for each in full]
    if not number:
        readings.append(small)
    if number == 1:
        full = ["(one|a)"]
    for each in full:
        readings += [f"{each} {unit} [and] {small}", f"{each} {unit} {cardinal(cents)}"]
        if number:
            readings.append(f"{each} {pair(part)}")
    return readings


def _ordinal(found: re.Match[str], scan: Scan) -> list[Span]:
    return [(ordinal(int(found["number"].replace(",", ""))),)]


def _fraction(found: re.Match[str], scan: Scan) -> list[Span] | None:
    top, bottom, whole = int(found["top"]), int(found["bottom"]), found["whole"]
    if not bottom:
        return None
    if whole and not top < bottom:
        return None
    readings = fraction(top, bottom)
    if whole:
        before = amount(whole, heard=scan.heard)
        readings = [
            f"{each} {'and' if reading.startswith('half') else '[and]'} {reading}"
            for each in before
            for reading in readings
            if "over" not in reading
        ]
        return [distinct([*readings, *(f"{each} {cardinal(top)} over {cardinal(bottom)}" for each in before)])]
    readings.append(f"{cardinal(top)} out of {cardinal(bottom)}")
    if top >= bottom or bottom > 10 or scan.heard:
        readings.append(f"{cardinal(top)} slash {cardinal(bottom)}")
    if top >= bottom or scan.heard:
        readings.append(f"{cardinal(top)} {cardinal(bottom)}")
    return [distinct(readings)]


def _feet(found: re.Match[str], scan: Scan) -> list[Span] | None:
    if not found["inches"] and not scan.text[found.end() : found.end() + 1].isspace() and found.end() < len(scan.text):
        return None
    feet = f"{cardinal(int(found['feet']))} (foot|feet)"
    if not found["inches"]:
        return [(feet,)]
    inches = int(found["inches"])
    return [
        (f"{feet.replace(' (foot|feet)', ' (foot|feet|)')} {cardinal(inches)} [{'inch' if inches == 1 else 'inches'}]",)
    ]


def _stops(found: re.Match[str], scan: Scan) -> list[Span]:
    """A version or an address with several stops: each number, with "point" or "dot" or nothing between."""
    spans: list[Span] = []
    for number, group in enumerate(found[0].split(".")):
        spans += [("(point|dot|)",)] if number else []
        spans.append(distinct([*integer(group, spelled=True), digits(group)]))
    return spans


def _phone(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A telephone number: each group digit by digit or as a number. It needs 7 to 15 digits, and - or ( or +."""
    text = found[0]
    groups = re.findall(r"\d+", text)
    sizes = [len(group) for group in groups]
    local = sizes == [3, 3, 4] or (groups[0][0] == "0" and (len(groups) > 2 or sum(sizes) > 9))  # 0800 123 456
    if not 7 <= sum(sizes) <= 15 or not (local or re.search(r"[-(+]", text)):
        return None
    if len(groups) < 2 or sizes == [4, 4] or (max(sizes) < 3 and text[0] not in "0+"):  # 1914-1918, 10.30-11.45
        return None
    if not local and any(mark in text for mark in " .") and not re.search(r"-\d|\)|\+", text):
        return None
    spans: list[Span] = [("[plus]",)] if text[0] == "+" else []
    for number, group in enumerate(groups):
        spans += [("(to|)",)] if number == 1 and len(groups) == 2 else []  # 500-1000 may be a range
        spans.append(distinct([digits(group), *integer(group, spelled=True)]))
    return spans


def _plural(found: re.Match[str], scan: Scan) -> list[Span]:
    """Several of one number, as in two 747s; or seconds, as in 45s."""
    names = [each.replace("(one|a) ", "") for each in integer(found["number"], spelled=False)]
    readings = [plural(each) for each in names if not each.endswith(")")]
    seconds = f"{cardinal(int(found['number']))} (seconds|second)"
    return [distinct([*readings, seconds])]


def _number(found: re.Match[str], scan: Scan) -> list[Span]:
    if found[0] == "1" and _SCALE_FOLLOWS.match(scan.text, found.end()):
        return [("(one|a)",)]
    code = _CODE_BEFORE.search(scan.text, max(0, found.start() - 24), found.start())
    spelled = code is not None or scan.before.casefold() in _NAMED or scan.before[-1:].isdigit()
    return [distinct(amount(found[0], heard=scan.heard, spelled=spelled))]


def _unit(found: re.Match[str], scan: Scan) -> list[Span] | None:
    if not scan.number:
        return None
    name = found["unit"]
    small = name.casefold()
    if name in ("M", "T", "S", "H", "G"):  # million, trillion, or a letter
        return None
    one, several = _UNITS[small]
    number = scan.number.replace(",", "")
    readings = one.split("|") if number == "1" else [*several.split("|"), *one.split("|")]
    if small == "m" and not found["space"]:
        readings.append("million")
    if _RANGE_FOLLOWS.match(scan.text, found.end()):  # thirty to forty percent
        readings.append("")
    return [tuple(dict.fromkeys(readings))]


def _inches(found: re.Match[str], scan: Scan) -> list[Span] | None:
    before = scan.text[max(0, found.start() - 12) : found.start()]
    if not scan.number or not (found["stop"] or found["size"] or _FEET_BEFORE.search(before)):
        return None
    return [("(inches|inch|)" if _FEET_BEFORE.search(before) else "(inches|inch)",)]


def _bare_unit(found: re.Match[str], scan: Scan) -> list[Span]:
    """A unit without a number, as in "speed in km/h"."""
    one, several = _UNITS[found[0]]
    return [(*several.split("|"), one)]


def _version(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("version", "v")]


def _toll_free(found: re.Match[str], scan: Scan) -> list[Span]:
    """The beginning of a telephone number that ends in a word."""
    return [("one",), distinct(integer(found["code"], spelled=True))]


def _degrees(found: re.Match[str], scan: Scan) -> list[Span]:
    name = "degree" if scan.number == "1" else "(degrees|degree)"
    return [(f"{name} {_TEMPERATURES[found['scale']]}",)] if found["scale"] else [(name,)]


def _attached(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A letter right after digits: 10K, 3bn, 4x."""
    if not scan.number:
        return None
    letter = found["letter"].casefold()
    if letter == "p":
        return [("pence", "p")]
    if letter == "x":
        return [("x", "times", "by")]
    spelled = " ".join(letter)
    return [distinct([_SCALES[letter], spelled])]


NUMBERS = (_number, _fraction)  # rules after which a unit may follow
PHONE_RULES: tuple[Rule, ...] = ((_TOLL_FREE, _toll_free), (_PHONE, _phone))
NUMBER_RULES: tuple[Rule, ...] = (
    (_MONEY_FRACTION, _fraction_of_money),
    (_PER, _per),
    (_MONEY_BEFORE, _money),
    (_MONEY_AFTER, _money),
    (_ORDINAL, _ordinal),
    (_FRACTION, _fraction),
    (_FEET, _feet),
    (_STOPS, _stops),
    (_PLURAL, _plural),
    (_NUMBER, _number),
)
WORD_RULES: tuple[Rule, ...] = (
    (_VERSION, _version),
    (_BARE_UNIT, _bare_unit),
    (_MONEY_BEFORE, _money),
)  # that begin with letters: v2, US$5
UNIT_RULES: tuple[Rule, ...] = ((_UNIT, _unit), (_INCHES, _inches), (_DEGREES, _degrees), (_ATTACHED, _attached))
