"""Readings of English words: contractions, abbreviations with and without stop, letters, Roman numerals, spellings.

`word_readings` and `abbreviation` see a word as it is written, with what stands beside it. An abbreviation that is also
a word (sun, no, in) is only read as an abbreviation where the text shows it, by a capital, a stop or a number.
"""

import re
import unicodedata
from dataclasses import dataclass

from amphion_eval.analysis.english.numbers import cardinal, ends_in_number, ordinal
from amphion_eval.analysis.english.spelling import one_spelling
from amphion_eval.analysis.readings import Span, distinct

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
MONTH_NUMBERS = {name: number for number, name in enumerate(MONTHS, 1)}
MONTH_NUMBERS |= {name[:3]: number for name, number in MONTH_NUMBERS.items()} | {"sept": 9}
DAYS = {
    "mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "thu": "thursday", "thur": "thursday",
    "thurs": "thursday", "fri": "friday", "sat": "saturday", "sun": "sunday",
}  # fmt: skip

_ALWAYS = {  # never words themselves
    "mr": "mister", "mrs": "missus", "prof": "professor", "vs": "versus|v s", "etc": "et cetera|etcetera",
    "dept": "department",
    "approx": "approximately", "govt": "government", "ltd": "limited", "sgt": "sergeant", "capt": "captain",
    "blvd": "boulevard", "hwy": "highway", "bldg": "building", "messrs": "messieurs", "assoc": "association|associate",
    "asst": "assistant", "tbsp": "tablespoon|tablespoons", "tsp": "teaspoon|teaspoons", "cpl": "corporal",
    "misc": "miscellaneous", "wwi": "world war one", "wwii": "world war two",
    "lieut": "lieutenant", "brig": "brigadier", "incl": "including|included",
    "tel": "telephone|tel", "cont": "continued|cont", "excl": "excluding|excluded", "viz": "namely|viz",
    "esp": "especially",
}  # fmt: skip
_CAPITAL = {  # with a capital, or in what was heard
    "ms": "miz|ms", "jr": "junior", "sr": "senior", "lt": "lieutenant", "mt": "mount|mountain", "ave": "avenue",
    "rd": "road", "inc": "incorporated|inc", "corp": "corporation|corp", "bros": "brothers",
    "hon": "honorable|honourable", "rev": "reverend", "gov": "governor", "sen": "senator", "gen": "general",
    "col": "colonel", "rep": "representative", "pres": "president", "adm": "admiral", "cmdr": "commander",
    "maj": "major", "supt": "superintendent", "ft": "fort", "sq": "square", "pvt": "private", "dist": "district",
    "univ": "university", "intl": "international", "atty": "attorney",
}  # fmt: skip
_CAPITAL_AND_STOP = {
    "co": "company|co",
    "ln": "lane",
    "ct": "court",
    "pl": "place",
    "mts": "mountains",
    "esq": "esquire",
    "fr": "father",
    "pt": "point",
    "sec": "secretary|section",
}
_BEFORE_NUMBER = {
    "no": "number", "nos": "numbers", "fig": "figure", "figs": "figures", "vol": "volume", "ch": "chapter",
    "chap": "chapter", "sec": "section", "p": "page", "pp": "pages", "apt": "apartment", "pt": "part", "art": "article",
    "eq": "equation", "ext": "extension", "rm": "room", "rt": "route", "rte": "route", "ver": "version",
    "ref": "reference", "ca": "circa|about|approximately", "c": "circa|c", "ste": "suite",
    "est": "established|estimated",
    "avg": "average", "min": "minimum", "max": "maximum", "temp": "temperature", "bldg": "building", "pg": "page",
    "col": "column",
}  # fmt: skip
_LATIN = {"e.g": "for example|e g", "eg": "for example|e g", "i.e": "that is|i e", "ie": "that is|i e"}

_CONTRACTED = {
    "n't": ("not",), "'re": ("are",), "'ve": ("have",), "'ll": ("will", "shall"), "'m": ("am",), "'d": ("would", "had"),
}  # fmt: skip
_IRREGULAR = {
    "won't": "will not", "shan't": "shall not", "can't": "(can not|cannot)", "let's": "let us", "y'all": "you all",
    "'em": "them", "'cause": "because", "ma'am": "madam", "o'er": "over", "ne'er": "never", "'tis": "it is",
    "'twas": "it was", "'til": "till",
}  # fmt: skip
_INFORMAL = {
    "gonna": "going to", "wanna": "want to", "gotta": "got to", "kinda": "kind of", "sorta": "sort of",
    "gimme": "give me", "lemme": "let me", "dunno": "do not know", "outta": "out of", "alright": "all right",
    "okay": "o k", "ok": "o k",
}  # fmt: skip
_IS = frozenset((
    "it", "he", "she", "that", "there", "here", "what", "who", "where", "how", "when", "why", "this", "everything",
    "something", "nothing", "one",
))  # fmt: skip
_OTHER_WORDS = frozenset((  # without the apostrophe these are words that sound different
    "we're", "i'll", "he'll", "she'll", "we'll", "i'd", "she'd", "we'd", "won't", "he'd", "it'd", "who're",
    "they're", "you're", "you'll", "they'll",
))  # fmt: skip

_ROMAN = re.compile(r"(?=[IVXLCDM])M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_COUNTED = frozenset((
    "vol", "ch", "chap", "pt", "sec", "fig", "chapter", "part", "volume",
    "act", "scene", "section", "war", "book", "bowl", "article", "canto", "psalm",
    "title", "level", "stage",
))  # fmt: skip
_LETTERED = frozenset((
    "type", "class", "phase", "appendix", "plan", "vitamin", "model", "group", "grade", "tier", "mark", "schedule",
    "annex", "factor",
))  # fmt: skip
_RULERS = frozenset((
    "henry", "louis", "george", "charles", "edward", "elizabeth", "james", "john", "paul", "richard", "william",
    "pius", "benedict", "napoleon", "philip", "leo", "gregory", "innocent", "clement", "alexander", "nicholas",
    "peter", "catherine", "frederick", "francis", "leopold", "otto", "ivan", "mary",
))  # fmt: skip
_LETTERS_ONLY = frozenset({"us"})  # "us" is another word; the two letters are never read as it


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a word: the words as written before and after it ("" at an end), and a stop after it.

    ``caseless``: capitals say nothing, as in a transcript or a text without any. ``hyphen``: one follows at once.
    ``paused``: a comma or another mark than a stop separates the word after it.
    """

    before: str
    after: str
    stop: bool
    heard: bool
    caseless: bool
    hyphen: bool
    paused: bool


def plain(word: str) -> str:
    """The key of one word: small letters, no accents, no apostrophe unless it changes the sound, one spelling."""
    word = word.casefold().replace("’", "'")
    if not word.isascii():
        word = "".join(each for each in unicodedata.normalize("NFD", word) if not unicodedata.combining(each))
    return one_spelling(word if word in _OTHER_WORDS else word.replace("'", ""))


def word_readings(word: str, beside: Beside) -> Span:
    """Readings of a word that is no abbreviation."""
    small = word.casefold().replace("’", "'")
    if (roman := _roman(word, beside)) is not None:
        return roman
    if len(word) == 1 and "α" <= small <= "ω":
        return (unicodedata.name(small).rsplit(" ", 1)[-1].casefold().replace("lamda", "lambda"),)
    if "'" in small or small in _INFORMAL:
        return distinct([plain(word), *_full_forms(small)])
    if word == "and" and beside.before.casefold() in ("hundred", "thousand", "million", "billion"):
        return ("[and]",) if ends_in_number(beside.after.casefold()) or beside.after[:1].isdigit() else ("and",)
    if len(word) > 1 and sum(map(str.isupper, word)) > 1 and len(word) <= 6:
        return _letters(word)
    return (plain(word),)


def abbreviation(word: str, beside: Beside) -> Span | None:
    """Readings of an abbreviation, or None for any other word."""
    small = word.casefold().rstrip(".")
    shown = (word[0].isupper() or beside.caseless) and not beside.hyphen
    digit_follows = beside.after[:1].isdigit() and not (beside.paused and small == "no")
    number_follows = (
        digit_follows
        or (_is_roman(beside.after) and small not in ("p", "pp") and (small, beside.after) != ("no", "I"))
        or ends_in_number(beside.after.casefold())
    )
    found = _ALWAYS.get(small) or _LATIN.get(small)
    if found is None and small == "no" and beside.stop and beside.after == "of":
        found = "number"
    if found is None and small in ("dr", "st"):
        return _doctor_or_saint(small, beside) if shown else None
    letters = word.isupper() and len(word) > 1 and small != "no" and not beside.stop  # CA 90210, PG-13
    if found is None and number_follows and not letters and (beside.stop or (digit_follows and small != "p")):
        found = _BEFORE_NUMBER.get(small)
        if found and not beside.stop and not (small in ("pp", "vol", "fig") or (word[0].isupper() and small != "no")):
            found += f"|{plain(word)}"
    if found is None and shown:
        found = _CAPITAL.get(small) or (_CAPITAL_AND_STOP.get(small) if beside.stop or beside.caseless else None)
        if found and (beside.caseless or not (beside.stop or word.istitle())):
            found += f"|{plain(word)}"
    if found is None and small in MONTH_NUMBERS and small not in MONTHS and shown and (beside.stop or number_follows):
        found = MONTHS[MONTH_NUMBERS[small] - 1]
    days = {beside.before.casefold().rstrip("."), beside.after.casefold()} & DAYS.keys()
    if found is None and small in DAYS and word[0].isupper() and (beside.stop or digit_follows or days):
        found = f"{DAYS[small]}|{small}"
    return None if found is None else distinct(one_key(each) for each in found.split("|"))


def one_key(words: str) -> str:
    """The keys of several plain words."""
    return " ".join(one_spelling(word) for word in words.split())


def _doctor_or_saint(small: str, beside: Beside) -> Span:
    """Dr. and St. before a name are doctor and saint; after a name, drive and street; both where neither is clear."""
    title, road = ("doctor", "drive") if small == "dr" else ("saint", "street")
    if beside.caseless:
        return title, road, small
    before = beside.before[:1].isupper() or beside.before[:1].isdigit() or ends_in_number(beside.before.casefold())
    if beside.after[:1].isupper():
        return (title, road) if before and small == "st" else (title,)
    return (road,) if before else (title, road)


def _full_forms(small: str) -> list[str]:
    """What a contraction stands for."""
    if small in _IRREGULAR or small in _INFORMAL:
        return [_IRREGULAR.get(small) or _INFORMAL[small]]
    for end, words in _CONTRACTED.items():
        if small.endswith(end) and len(small) > len(end):
            return [f"{plain(small.removesuffix(end))} {word}" for word in words]
    stem = small.removesuffix("'s")
    return [f"{plain(stem)} is", f"{plain(stem)} has"] if stem != small and stem in _IS else []


def _letters(word: str) -> Span:
    """Readings of capitals: one word, or letter by letter; a small s at the end is a plural."""
    small = word.casefold()
    stem = word[:-1] if word[-1] == "s" else word
    if not stem.isascii():
        return (plain(word),)
    spelled = " ".join(one_spelling(letter) for letter in stem.casefold())
    if stem != word:
        return distinct([plain(word), spelled + "s", spelled + " s"])
    return (spelled,) if small in _LETTERS_ONLY else distinct([plain(word), spelled])


def _is_roman(word: str) -> bool:
    return bool(word.isascii() and _ROMAN.fullmatch(word))


def _roman(word: str, beside: Beside) -> Span | None:
    """Readings of a Roman numeral after a counted noun or a name; None where letters are meant.

    Single letters are numbers only after a counted noun with a capital (World War I) or a ruler's name (Henry V).
    """
    if word.islower() and len(word) > 1 and set(word) <= set("ivx") and beside.before.casefold() in _COUNTED:
        word = word.upper()
    if not _is_roman(word):
        return None
    before, named = beside.before.casefold().rstrip("."), beside.before[:1].isupper()
    counted, lettered, ruler = before in _COUNTED, before in _LETTERED, before in _RULERS
    values = [_ROMAN_VALUES[letter] for letter in word]
    value = sum(-one if one < two else one for one, two in zip(values, [*values[1:], 0], strict=True))
    ranks = [f"the {ordinal(value)}"] if ruler or not (counted or lettered) else []
    if len(word) == 1:
        if word not in "IVX" or not ((counted and named) or ruler):
            return (plain(word), cardinal(value)) if lettered and word in "IVX" else None
        return distinct([cardinal(value), *ranks, *([plain(word)] if beside.heard else [])])
    if not (counted or lettered or ruler or ((named or before == "and") and set(word) <= set("IVX"))):
        return None
    others = [] if counted or lettered or ruler else [*_letters(word)]
    return distinct([cardinal(value), *ranks, *others])
