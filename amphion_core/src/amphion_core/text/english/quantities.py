"""Say amounts of money, percentages and numbers with units, and ranges of them."""

import re

from amphion_core.text.english.characters import RAISED, RANGE_DASH
from amphion_core.text.english.numbers import START, VALUE, cardinal, value
from amphion_core.text.english.rules import Rule, after, any_of, before

_MONEY = {
    "$": "dollar", "US$": "US dollar", "US $": "US dollar", "CA$": "Canadian dollar", "C$": "Canadian dollar",
    "AU$": "Australian dollar", "A$": "Australian dollar", "NZ$": "New Zealand dollar", "HK$": "Hong Kong dollar",
    "S$": "Singapore dollar", "Rs.": "rupee", "Rs": "rupee", "NT$": "Taiwan dollar", "MX$": "Mexican peso",
    "R$": "real", "£": "pound", "€": "euro", "¥": "yen", "₹": "rupee", "₩": "won", "₽": "ruble", "₺": "lira",
    "₴": "hryvnia", "₪": "shekel", "₫": "dong", "₱": "peso", "₦": "naira", "₿": "bitcoin", "USD": "US dollar",
    "CAD": "Canadian dollar", "AUD": "Australian dollar", "EUR": "euro", "GBP": "pound", "JPY": "yen",
    "CHF": "Swiss franc", "CNY": "yuan", "RMB": "yuan", "INR": "rupee", "円": "yen", "元": "yuan", "zł": "zloty",
}  # fmt: skip
_CENTS = {"dollar": "cent", "euro": "cent", "pound": "penny"}
_SCALES = {
    "thousand": "thousand", "million": "million", "billion": "billion", "trillion": "trillion", "k": "thousand",
    "K": "thousand", "m": "million", "M": "million", "mn": "million", "mln": "million", "mm": "million",
    "mil": "million", "bn": "billion", "b": "billion", "B": "billion", "tn": "trillion", "T": "trillion",
}  # fmt: skip
_PLAIN_SCALES = ("thousand", "million", "billion", "trillion", "bn", "mn", "mln", "tn", "M", "k")
_UNITS = {
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "nm": "nanometer", "μm": "micrometer",
    "mi": "mile", "ft": "foot", "yd": "yard", "kg": "kilogram", "g": "gram", "mg": "milligram", "μg": "microgram",
    "mcg": "microgram", "lb": "pound", "lbs": "pound", "oz": "ounce", "l": "liter", "L": "liter", "ml": "milliliter",
    "mL": "milliliter", "cl": "centiliter", "dl": "deciliter", "dL": "deciliter", "gal": "gallon", "tsp": "teaspoon",
    "tbsp": "tablespoon", "s": "second", "sec": "second", "secs": "second", "ms": "millisecond", "μs": "microsecond",
    "ns": "nanosecond", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "yr": "year",
    "yrs": "year", "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "rpm": "revolution per minute", "bpm": "beat per minute", "fps": "frame per second", "kHz": "kilohertz",
    "Hz": "hertz", "MHz": "megahertz", "GHz": "gigahertz", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte",
    "GB": "gigabyte", "TB": "terabyte", "Kbps": "kilobit per second", "kbps": "kilobit per second",
    "Mbps": "megabit per second", "Gbps": "gigabit per second", "W": "watt", "kW": "kilowatt", "MW": "megawatt",
    "GW": "gigawatt", "Wh": "watt hour", "kWh": "kilowatt hour", "MWh": "megawatt hour", "V": "volt",
    "kV": "kilovolt", "mV": "millivolt", "mA": "milliampere", "mAh": "milliampere hour", "dB": "decibel",
    "Pa": "pascal", "kPa": "kilopascal", "hPa": "hectopascal", "psi": "pound per square inch", "kcal": "kilocalorie",
    "cal": "calorie", "kJ": "kilojoule", "°C": "degree celsius", "° C": "degree celsius", "°F": "degree fahrenheit",
    "° F": "degree fahrenheit", "°": "degree", "ha": "hectare", "sq ft": "square foot", "sq mi": "square mile",
    "sq km": "square kilometer", "sq m": "square meter", "px": "pixel", "dpi": "dot per inch", "kΩ": "kiloohm",
    "Ω": "ohm", "°c": "degree celsius", "deg": "degree", "mpg": "mile per gallon", "cu ft": "cubic foot",
    "sq. ft": "square foot", "MP": "megapixel", "Nm": "newton meter", "%": "percent", "¢": "cent", "pct": "percent",
}  # fmt: skip
_POWERS = {f"{RAISED}2": "square", "2": "square", f"{RAISED}3": "cubic", "3": "cubic"}
_IRREGULAR = {
    "foot": "feet", "hertz": "hertz", "kilohertz": "kilohertz", "megahertz": "megahertz", "gigahertz": "gigahertz",
    "yen": "yen", "penny": "pence", "percent": "percent", "won": "won", "yuan": "yuan", "zloty": "zlotys",
    "dong": "dong", "real": "reais", "naira": "naira", "lira": "lira", "inch": "inches",
}  # fmt: skip
_NOT_A_NOUN = (
    r"of|for|in|on|at|to|from|and|or|per|each|a|an|the|is|was|are|were|by|with|after|before|than|more|less|when|if|as"
    r"|but|that|which|it|every|so|then|because|until|off|out|up|down|back|total|extra|today|now|all|into|will|would"
)


_PREFIX = any_of(_MONEY)
_UNIT = rf"(?:(?:{any_of(_UNITS)})(?:{RAISED}[23]|(?<=m)[23](?!\d))?)"
_PER = rf"/(?:{_UNIT}(?!\w)|[a-z]{{2,12}}\b)"


def _amount(name: str) -> str:
    """The pattern of one amount: currency, number, scale, unit or currency, "per" and its unit. Groups end in NAME."""
    return (
        rf"(?:(?P<before{name}>{_PREFIX})\s?)?(?P<value{name}>{VALUE})"
        rf"(?:[ -]?(?P<scale{name}>{any_of(_SCALES)})(?![\w/{RAISED}]))?"
        rf"(?:[ -]?(?P<unit{name}>{_UNIT}|{_PREFIX})(?![\w{RAISED}]))?(?P<per{name}>(?:{_PER}){{0,2}})"
    )


def _say(match: re.Match[str], name: str, *, money: str, scale: str, unit: str, one: bool) -> str:
    """One amount in words; ``money``, ``scale`` and ``unit`` are its own or those of the other end of the range."""
    amount = match[f"value{name}"]
    if not money:
        words = f"{value(amount)} {_SCALES[scale]}" if scale else value(amount)
        return f"{words} {_noun(unit, one or (not scale and _is_single(amount)))}".strip()
    noun = _MONEY[money]
    if scale:
        return f"{value(amount)} {_SCALES[scale]} {_plural(noun, one)}"
    whole, _, small = amount.partition(".")
    part = _CENTS.get(noun.split()[-1])
    if part and len(small) == 2 and "/" not in amount:
        main = f"{value(whole or '0')} {_plural(noun, one or whole == '1')}"
        cents = f"{cardinal(int(small))} {_plural(part, int(small) == 1)}"
        if not int(small):
            return main
        return f"{main} and {cents}" if int(whole.replace(",", "") or 0) else cents
    return f"{value(amount)} {_plural(noun, one or _is_single(amount))}"


def _is_single(amount: str) -> bool:
    """Whether the noun after the number is in the singular: 1, or a fraction below 1."""
    return amount == "1" or bool(re.fullmatch(r"\d+/\d+", amount))


def _noun(unit: str, one: bool) -> str:
    if not unit:
        return ""
    power = next((_POWERS[end] for end in _POWERS if unit.endswith(end)), "")
    noun = _UNITS[unit.rstrip("23").rstrip(RAISED) if power else unit]
    return f"{power} {_plural(noun, one)}".strip()


def _plural(noun: str, one: bool) -> str:
    """The noun in the singular or plural; in "mile per hour" the first word changes, in "US dollar" the last one."""
    if one:
        return noun
    first, separator, rest = noun.partition(" per ")
    first, degree, scale = first.partition(" ") if first.startswith("degree ") else (first, "", "")
    head, space, last = first.rpartition(" ")
    return f"{head}{space}{_IRREGULAR.get(last, last + 's')}{degree}{scale}{separator}{rest}"


def _per(text: str) -> str:
    """The words for /h, /month or /kg/day. Seconds may be squared."""
    words = ""
    for part in text.split("/")[1:]:
        base, squared, _ = part.partition(f"{RAISED}2") if part.startswith(f"s{RAISED}") else (part, "", "")
        known = base in _UNITS or base.rstrip(f"{RAISED}23") in _UNITS
        words += f" per {_noun(base, one=True) if known else base}{' squared' if squared else ''}"
    return words


def _is_singular(match: re.Match[str]) -> bool:
    """Whether the amount stands before a noun that it describes, as in "a $5 bill" and "a 10 km run"."""
    article = re.search(r"\b(?:an?|every|another|each)\s$", before(match, 9), re.I)
    return bool(article and re.match(rf"[ -](?!(?:{_NOT_A_NOUN})\b)[a-z]{{2}}", after(match, 20)))


def _checked(match: re.Match[str], name: str) -> tuple[str, str, str]:
    """Currency, scale and unit of one amount; ambiguous letters count as a scale only with money."""
    money, scale, unit = match[f"before{name}"] or "", match[f"scale{name}"] or "", match[f"unit{name}"] or ""
    if unit in _MONEY:
        money, unit = unit, ""
    return money, scale, unit


def _one_amount(match: re.Match[str]) -> str:
    money, scale, unit = _checked(match, "")
    if scale and not money and scale not in _PLAIN_SCALES:
        if scale not in _UNITS or unit:
            return match[0]
        scale, unit = "", scale
    if not (money or scale or unit):
        return match[0]
    words = _say(match, "", money=money, scale=scale, unit=unit, one=_is_singular(match))
    return _spaced(match, words + _per(match["per"]))


def _range(match: re.Match[str]) -> str:
    (money, scale, unit), (money_2, scale_2, unit_2) = _checked(match, "_1"), _checked(match, "_2")
    ends: list[list[str]] = [[money, scale, unit], [money_2, scale_2, unit_2]]
    for end in ends:
        if end[1] and not (money or money_2) and end[1] not in _PLAIN_SCALES:
            if end[1] not in _UNITS or end[2]:
                return match[0]
            end[1:] = ["", end[1]]
    first, second = ends
    if match["dash"] == " - " and not _is_smaller(match["value_1"], match["value_2"]):
        return match[0]
    if not any(first + second):
        return match[0]
    second[0] = second[0] or ("" if second[2] else first[0])
    decimals = bool(second[0] and not second[1]) and any("." in match[f"value{name}"] for name in ("_1", "_2"))
    shared = not first[2] or first[2] == second[2]
    if shared and (not first[0] or first[0] == second[0]) and not decimals:
        same_scale = first[1] == second[1] or not first[1]
        start = value(match["value_1"]) + ("" if same_scale else f" {_SCALES[first[1]]}")
    else:
        start = _say(match, "_1", money=first[0], scale=first[1], unit=first[2], one=False) + _per(match["per_1"])
    end_words = _say(match, "_2", money=second[0], scale=second[1], unit=second[2], one=_is_singular(match))
    return _spaced(match, f"{start} to {end_words}{_per(match['per_2'])}")


def _is_smaller(first: str, second: str) -> bool:
    """Whether two amounts with a hyphen between spaces can be the ends of a range."""
    plain = [text.replace(",", "") for text in (first, second) if "/" not in text]
    return len(plain) < 2 or float(plain[0]) < float(plain[1])


def _in_quotation(text: str) -> bool:
    """Whether a quotation is open after ``text``. A mark opens one after a space; another mark closes it."""
    is_open = False
    for mark in re.finditer(r"((?:^|(?<=[\s(\[']))\")|\"", text):
        is_open = mark[1] is not None
    return is_open


def _inches(match: re.Match[str]) -> str:
    """12" is twelve inches, unless the mark closes a quotation that began before."""
    if match[0].endswith('"') and _in_quotation(before(match, 300)):
        return match[0]
    one = _is_single(match[1]) or _is_singular(match)
    return f"{value(match[1])} {_plural('inch', one)}"


def _bare_area(match: re.Match[str]) -> str:
    return _noun(match[1], one=before(match, 3) == "er ")


def _angle(match: re.Match[str]) -> str:
    """40°26'46" N: degrees, minutes and seconds of a position on the earth."""
    seconds = f" {match[3]} seconds" if match[3] else ""
    direction = f" {_DIRECTIONS[match[4]]}" if match[4] else ""
    return f"{match[1]} degrees {match[2]} minutes{seconds}{direction}"


_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _spaced(match: re.Match[str], words: str) -> str:
    """The words, with a space where the amount touched a letter or digit."""
    return f"{words} " if after(match, 1).isalnum() else words


_DIMENSION = (
    r"(?:long|wide|tall|high|deep|thick|across|apart)(?=[.,;:!?)]|$| (?:and|or|by|x|but|with|at|in|on|for)\b)"
    r"|(?:in (?:diameter|length|height)|of (?:rain|snow|ice))\b"
)
_NO_CODE = START + r"(?<![A-Za-z]-)"  # not the 52 of B-52
RULES: tuple[Rule, ...] = (
    (r"(?<![\w.,])(\d{1,2})\s?ft\.?\s?(\d{1,2})(?!\d|\s?inch|\")(?:\s?in\b(?:\.(?=[ ,;)]))?)?", r"\1 ft \2 inches"),
    (r"(\d)°\s?(\d{1,2})'(?:\s?(\d{1,2}(?:\.\d{1,6})?)\")?(?:\s?([NSEW])\b)?", _angle),
    (rf"{START}(\d{{1,3}})'\s?(\d{{1,2}})\"(?!\w)", r"\1 ft \2 inches"),
    (rf"{START}(\d)'(\d{{1,2}})(?![\w'\"])", r"\1 ft \2 inches"),
    (rf"{START}({VALUE})[ -]in\b\.?(?= (?:{_DIMENSION}|(?:x|by|times) \d))", _inches),
    (rf"(?:(?<= x )|(?<= by ))({VALUE})[ -]in(?=\.?(?:$|[,;:)]))", _inches),
    (rf"(?<=inches by )({VALUE})[ -]in\b\.?(?= [a-z])", _inches),
    (r"(?<![\w.,])([2-9])Rs\b", lambda m: f"{cardinal(int(m[1]))} Rs"),
    (rf"{START}({VALUE})[ -]in\.(?= [a-z]|[,;)])", _inches),
    (rf"{START}({VALUE}) in\.$", r"\1 inches."),
    (rf"{START}({VALUE})\"", _inches),
    (rf"{START}({VALUE})'(?= (?:tall|long|wide|high|deep|by|x)\b)", r"\1 ft"),
    (r"(?<![\w.,])(\d{1,3})[kK](?= (?:run|race|walk|video|screen|resolution|monitor|display|TV)\b)", r"\1 K"),
    (r"(?<![\w.,])(\d{1,2})p(?!\w)", lambda m: "one penny" if m[1] == "1" else f"{value(m[1])} pence"),
    (rf"{START}({VALUE})[ -]?(ft|lbs?|oz|min|mins|hrs?|secs?|yd|mi|gal|tsp|tbsp)\.(?= [a-z\d])", r"\1 \2"),
    (rf"{_NO_CODE}{_amount('_1')}(?P<dash>-| - |\s?{RANGE_DASH}\s?){_amount('_2')}", _range),
    (rf"{_NO_CODE}{_amount('')}", _one_amount),
)
"""Money, percentages and numbers with units, one amount or a range."""

_BARE = "km|cm|mm|m|mi|ft|kg|mg|g|L|l|mL|ml|kWh|kB|MB|GB"
BARE_RULES: tuple[Rule, ...] = (
    (
        rf"(?<![\w/.])({_BARE})(/(?:h|hr|s|sec|min|day|week|year|L|l|mL|ml|dL|kg|m|cm|capita){RAISED}?[23]?)(?![\w/])",
        lambda m: _noun(m[1], one=False) + _per(m[2]),
    ),
    (rf"(?<![\w/.])((?:km|cm|mm|mi|ft|(?<=[Pp]er )m){RAISED}[23])(?!\w)", lambda m: _bare_area(m)),
)
"""Units without a number, such as "in km/h"."""
