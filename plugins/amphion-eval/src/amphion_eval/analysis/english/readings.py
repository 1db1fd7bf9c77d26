"""The readings of an English text: every usual way to say its numbers, dates, times, money, symbols and abbreviations.

The text is read from left to right. At each position the first rule that fits makes the spans of what it matched, in
this order: dates, telephone numbers, times, money, decades, ordinals, fractions, feet and inches, numbers with several
stops, other numbers, units, signs, abbreviations, words. So a sign or a unit is never dropped because a later rule
would read the digits alone.

What was heard is read a little wider than the reference (``heard``), because a recogniser writes 530 or 5.30 for a
time and 3.5 for three and a half. The frontends that prepare texts for voices are not used here: a wrong reading of a
frontend must count as an error of the voice.
"""

import re
import unicodedata

from amphion_eval.analysis.english import amounts, dates
from amphion_eval.analysis.english.numbers import cardinal, ordinal
from amphion_eval.analysis.english.scan import Rule, Scan
from amphion_eval.analysis.english.words import DAYS, MONTHS, abbreviation, word_readings
from amphion_eval.analysis.readings import Span, distinct

_WORD = re.compile(r"[^\W\d_²³]+(?:['’][^\W\d_²³]+)*")
_APOSTROPHE_FIRST = re.compile(r"['’](?:em|cause|tis|twas|til)\b", re.IGNORECASE)
_STOPPED = re.compile(r"(?:e\.g|i\.e|ph\.d|u\.s)\b\.?(?!\.?[a-z]\.)", re.IGNORECASE)
_SLASHED = re.compile(r"(?:w/o|c/o|b/c)\b|w/(?=\s?\w\w)", re.IGNORECASE)
_FILLER = re.compile(r"(?:u+m+|u+h+|uhm+|e+rm+|h+m+|mm+|mhm)\b", re.IGNORECASE)
_RANGE = re.compile(r"\s?[-–—]\s?(?=[$£€¥]?\.?\d)")
_LOW = re.compile(r"(\d[\d,]*)(?:\.\d+)?\s?(?P<unit>[%$£€¥¢]|°\s?[CF]?|[ap]\.?\s?m\.?|[a-z]{1,8})?\s?$", re.IGNORECASE)
_DASH = re.compile(r"\s?[-–—]\s?(?=[A-Za-z])")
_NAMES = "|".join([*MONTHS, *DAYS, *DAYS.values(), *(month[:3] for month in MONTHS), "noon", "midnight", "sept"])
_NAME_BEFORE = re.compile(rf"\b(?:{_NAMES})\.?$|\d\s?[ap]\.?m\.?$|\d$", re.IGNORECASE)
_NAME_AFTER = re.compile(rf"(?:{_NAMES})\b", re.IGNORECASE)
_MINUS = re.compile(r"[-−–](?=[$£€]?\.?\d)")
_DOT = re.compile(r"(?:(?<=[a-z]{2})|(?<!\S))\.(?=[a-z]{2})", re.IGNORECASE)
_SIGNS = {
    "&": "and", "@": "at", "+": "plus", "=": "(equals|equal|is equal to|is)", "×": "(times|by|x)", "÷": "divided by",
    "<": "(is|) (less|fewer) than", ">": "(is|) (greater|more) than", "≤": "(is|) (at most|less than or equal to)",
    "≥": "(is|) (at least|greater than or equal to)", "≠": "(is|) not equal to", "¶": "paragraph",
    "≈": "[is] approximately [equal to]", "±": "plus or minus",
    "§": "(section|sections)", "√": "[the] square root of", "π": "pi", "μ": "(mu|micro)", "∞": "infinity",
    "²": "squared", "³": "cubed", "~": "(about|approximately|around|roughly|)", "^": "to the [power of]", "Ω": "ohms",
}  # fmt: skip
_VULGAR = re.compile("(?P<whole>\\d?)\\s?(?P<sign>[¼-¾⅐-⅞↉])")
_DECIMAL_COMMA = re.compile(
    r"(?<![\w.,])(\d{1,3}(?:[.\s]\d{3}){0,4}|\d{1,9}),(\d\d?)(?=\s?€)|(?<![\w.,])(\d{1,3}(?:\s\d{3}){1,4}),(\d\d?)(?!\d)|"
    r"(?<=€)(\s?\d{1,3}(?:[.\s]\d{3}){0,4}),(\d\d)(?!\d)"
)
_CURRENCIES = {"USD": "US$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "Rs": "₹", "Rs.": "₹"}
_CODE_AFTER = re.compile(r"(\d[\d.,]{0,20}(?: (?:thousand|[mbt]r?illion))?) (USD|EUR|GBP|JPY|INR)\b")
_CODE_BEFORE = re.compile(r"\b(?:USD|EUR|GBP|JPY|INR|Rs\.?) ?(?=\d)")
_CLEANED = str.maketrans(
    {"\u00ad": None, "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None, "\u2060": None, "™": None,
     "®": None, "©": None, "−": "-", "‐": "-", "‑": "-", "‒": "-", "\u02bc": "'", "´": "'", "`": "'", "º": "°",
     "№": "No. ", "İ": "I", "ı": "i"}
)  # fmt: skip


def english_spans(text: str, *, heard: bool) -> list[Span]:
    """The spans of an English text. ``heard``: it is a transcript of a recogniser, not the text to be spoken."""
    text = _clean(text)
    scan = Scan(text, heard)
    position, end = 0, len(text)
    while position < end:
        char = text[position]
        position = position + 1 if char.isspace() and not scan.number else _read(scan, position)
    return scan.spans


def _clean(text: str) -> str:
    """The text with one form of fractions, currencies, decimal marks, thousands, powers and invisible characters."""
    text = _VULGAR.sub(_vulgar, text.translate(_CLEANED)).replace("+/-", "±").replace("§§", "§")
    text = _DECIMAL_COMMA.sub(_with_point, text)
    text = _CODE_AFTER.sub(r"\2 \1", text)
    text = _CODE_BEFORE.sub(lambda found: _CURRENCIES[found[0].strip()], text)
    text = re.sub(r"\b(p|pp|nos?|vol|fig|ch|sec|art|eq)\.(?=\d)", r"\1. ", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<![\d,.])\d{1,2}(?:,\d\d){1,4},\d{3}(?![\d,])", lambda found: found[0].replace(",", ""), text)
    text = re.sub(r"(?<=\d)['’_](?=\d{3}(?!\d))|(?<=\d{4})–(?=\d\d–\d\d)|(?<=\d–\d\d)–(?=\d\d)", _separator, text)
    text = re.sub("[⁰⁴-⁹⁻]+", lambda found: "^" + unicodedata.normalize("NFKC", found[0]).replace("−", "-"), text)
    composed = unicodedata.normalize("NFC", text)
    text = "".join(char if char in "²³" else unicodedata.normalize("NFKC", char) for char in composed)
    letters = [char for char in text if char.isalpha()]
    if len(text.split()) > 1 and letters and all(map(str.isupper, letters)) and len(letters) > 8:
        text = text.casefold()  # all in capitals, so capitals say nothing
    return text


def _with_point(found: re.Match[str]) -> str:
    """Money as 1.234,50 €, with a decimal point."""
    whole, cents = found[1] or found[3] or found[5], found[2] or found[4] or found[6]
    return re.sub(r"[.\s](?=\d)", "", whole) + f".{cents}"


def _separator(found: re.Match[str]) -> str:
    """Apostrophes and underscores between thousands are commas; dashes of a date are hyphens."""
    return "-" if found[0] == "–" else ","


def _vulgar(found: re.Match[str]) -> str:
    ascii_form = unicodedata.normalize("NFKC", found["sign"]).replace("⁄", "/")
    return f"{found['whole']} {ascii_form}" if found["whole"] else f" {ascii_form}"


def _read(scan: Scan, position: int) -> int:
    """Read what begins at ``position`` by the first rule that fits. Returns the position after it."""
    char = scan.text[position]
    rules = _WORDS if char.isalpha() and not scan.number else _ALL_RULES
    for pattern, make in rules:
        found = pattern.match(scan.text, position)
        if found is None or not found[0]:
            continue
        spans = make(found, scan)
        if spans is None:
            continue
        scan.spans += [span for span in spans if any(span)]
        is_number = make in amounts.NUMBERS or (make is dates.read_time and "." in found[0])  # 5.05 % is no time
        scan.number = found[0] if is_number else ""
        if found[0].strip(" .,;:!?\"'()[]“”‘’…"):
            scan.before = found[0].strip()
        return found.end()
    scan.number = ""
    return position + 1


def _word(found: re.Match[str], scan: Scan) -> list[Span]:
    beside = scan.beside(found)
    short = abbreviation(found[0], beside)
    return [word_readings(found[0], beside) if short is None else short]


def _stopped(found: re.Match[str], scan: Scan) -> list[Span]:
    """Letters with stops that have another reading, or must not be joined to a word."""
    small = found[0].casefold().rstrip(".")
    readings = {"e.g": ("for example", "e g"), "i.e": ("that is", "i e"), "ph.d": ("p h d",), "u.s": ("u s",)}
    return [readings[small]]


def _slashed(found: re.Match[str], scan: Scan) -> list[Span]:
    """Abbreviations with a slash."""
    return [({"w/o": "without", "w/": "with", "c/o": "care of", "b/c": "because"}[found[0].casefold()],)]


def _filler(found: re.Match[str], scan: Scan) -> list[Span]:
    """Recognisers write these sounds in several ways, or leave them out."""
    return [("(um|uh|hm|mm|erm|)",)]


def _range(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A dash between two numbers: "to" or "minus"; nothing where the numbers do not rise, as in 3-2 and 50-50."""
    low = _LOW.search(scan.text, max(0, found.start() - 20), found.start())
    high = re.match(r"\D?(\d[\d,]*)", scan.text[found.end() : found.end() + 20])
    if low is None or high is None or (low["unit"] or "").strip() in ("to", "and", "or", "from", "minus", "plus"):
        return None
    rising = int(low[1].replace(",", "")) < int(high[1].replace(",", ""))
    silent = scan.heard or not (rising or low["unit"]) or (low[1], high[1]) in (("9", "11"), ("7", "11"))
    counting = re.match(r"\d+[-–]\d", scan.text[found.end() : found.end() + 20]) or re.search(
        r"\d[-–]\d+$", scan.text[max(0, found.start() - 20) : found.start()]
    )
    silent = silent or counting is not None  # 1-2-3
    sum_follows = "=" in scan.text[found.end() : found.end() + 20]
    minus = scan.heard or sum_follows or (not rising and found[0] != found[0].strip())
    return [(f"(to|through|until|till|dash|hyphen{'|minus' if minus else ''}{'|' if silent else ''})",)]


def _span_of_names(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A dash between months, days or times, as in Monday–Friday and 9am-noon."""
    before = scan.text[max(0, found.start() - 12) : found.start()]
    if not (_NAME_BEFORE.search(before) and _NAME_AFTER.match(scan.text, found.end())):
        return None
    return [("(to|through|until|till|)",)]


def _power(found: re.Match[str], scan: Scan) -> list[Span]:
    """10^6: to the power of six, to the sixth."""
    number, minus = int(found["number"]), "(minus|negative)" if found["minus"] else ""
    readings = [f"to the [power of] {minus} {cardinal(number)}"]
    if not minus:
        readings += [f"to the {ordinal(number)} [power]", *{2: ["squared"], 3: ["cubed"]}.get(number, [])]
    return [distinct(readings)]


_QUOTES = re.compile('((?:^|(?<=[\\s(\\[\'—]))["“])|["”″]')


def _inches(found: re.Match[str], scan: Scan) -> list[Span] | None:
    """A mark of inches after a number, unless it closes a quotation."""
    marks = _QUOTES.findall(scan.text, max(0, found.start() - 300), found.start())
    is_open = bool(marks and marks[-1])  # a mark opens a quotation after a space; another mark closes it
    return None if is_open or not scan.number else [("(inches|inch)",)]


def _minus(found: re.Match[str], scan: Scan) -> list[Span] | None:
    return [("(minus|negative)",)] if scan.spaced(found) or scan.text[found.start() - 1] in "$£€" else None


def _and(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("(and|n)",)]


def _hash(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("(number|hash|hashtag|pound)" if found[1] else "[hashtag]",)]


def _sharp(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("sharp",)]


def _slash(found: re.Match[str], scan: Scan) -> list[Span]:
    after_number = re.search(r"\d\s?\S*$", scan.text[max(0, found.start() - 12) : found.start()])
    return [("(per|a|an|out of|slash|)" if after_number else "(slash|or|and|)",)]


def _menu(found: re.Match[str], scan: Scan) -> list[Span]:
    """The sign between two names of menus."""
    return [("(greater than|is greater than|)",)]


def _scheme(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("[colon slash slash]",)]


def _divided(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("(divided by|over|slash)",)]


def _ratio(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("(to|)",)]


def _dot(found: re.Match[str], scan: Scan) -> list[Span]:
    return [("[dot]",)]


def _times(found: re.Match[str], scan: Scan) -> list[Span] | None:
    before = scan.text[max(0, found.start() - 8) : found.start()]
    return [("(times|by|x)",)] if re.search(r"\d\s?[a-z]{0,3}\s?$", before) else None


def _sign(found: re.Match[str], scan: Scan) -> list[Span]:
    return [(_SIGNS[found[0]],)]


_TIMES = re.compile(r"\s?[x×*]\s?(?=\d)")
_WORDS: tuple[Rule, ...] = (
    (_TIMES, _times),
    *amounts.WORD_RULES,
    (_STOPPED, _stopped),
    (_SLASHED, _slashed),
    (_FILLER, _filler),
    *dates.WORD_RULES,
    (_WORD, _word),
)
_MARKS: tuple[Rule, ...] = (
    (_RANGE, _range),
    (_DASH, _span_of_names),
    (re.compile(r"(?<=[A-Za-z]{2} )>(?= [A-Z][a-z])"), _menu),
    (re.compile(r"://"), _scheme),
    (re.compile(r"(?<=\d) / (?=\d)"), _divided),
    (re.compile(r"\^(?P<minus>-)?(?P<number>\d{1,6})(?!\d)"), _power),
    (re.compile('["”″](?!\\w)'), _inches),
    (_MINUS, _minus),
    (re.compile(r"#(?=(\d)|\w)"), _hash),
    (re.compile(r"(?<=\b[A-G])#(?!\w)"), _sharp),
    (re.compile(r"/(?=\w)"), _slash),
    (re.compile(r"(?<=\d):(?=\d)"), _ratio),
    (_DOT, _dot),
    (_TIMES, _times),
    (re.compile(f"[{re.escape(''.join(_SIGNS))}]"), _sign),
    (re.compile(r"['’]n['’]?(?!\w)", re.IGNORECASE), _and),
    (_APOSTROPHE_FIRST, _word),
)
_ALL_RULES: tuple[Rule, ...] = (
    *dates.NUMBER_RULES,
    *amounts.PHONE_RULES,
    *dates.TIME_RULES,
    *amounts.NUMBER_RULES,
    *amounts.UNIT_RULES,
    *_MARKS,
    *_WORDS,
)
