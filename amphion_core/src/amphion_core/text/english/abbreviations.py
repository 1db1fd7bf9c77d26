"""Say abbreviations: titles, streets, words before numbers, and others. Months and units are in other files."""

import re

from amphion_core.text.english.letters import SENTENCE_ENDS
from amphion_core.text.english.rules import Rule, after, any_of, before

_TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "drs": "doctors", "prof": "professor", "st": "saint",
    "rev": "reverend", "gen": "general", "col": "colonel", "sgt": "sergeant", "capt": "captain", "lt": "lieutenant",
    "hon": "honorable", "sen": "senator", "gov": "governor", "rep": "representative", "pres": "president",
    "maj": "major", "cmdr": "commander", "adm": "admiral", "cpl": "corporal", "pvt": "private", "mt": "mount",
    "ft": "fort", "messrs": "messieurs", "supt": "superintendent", "det": "detective", "insp": "inspector",
    "sec": "secretary", "amb": "ambassador", "atty": "attorney", "fr": "father", "msgr": "monsignor",
    "asst": "assistant", "brig": "brigadier", "cdr": "commander", "ofc": "officer", "pt": "point", "sens": "senators",
    "reps": "representatives", "govs": "governors", "profs": "professors", "revs": "reverends", "mme": "madame",
}  # fmt: skip
_STREETS = {
    "st": "street", "ave": "avenue", "blvd": "boulevard", "rd": "road", "dr": "drive", "ln": "lane", "hwy": "highway",
    "sq": "square", "pl": "place", "ct": "court", "pkwy": "parkway", "mts": "mountains", "bldg": "building",
}  # fmt: skip
_WORDS = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "jr": "junior", "sr": "senior",
    "approx": "approximately", "dept": "department", "inc": "incorporated", "ltd": "limited", "corp": "corporation",
    "bros": "brothers", "govt": "government", "assn": "association", "univ": "university", "et al": "et al",
    "ave": "avenue", "blvd": "boulevard", "esq": "esquire", "intl": "international", "natl": "national",
    "mgr": "manager", "mgmt": "management", "bldg": "building", "viz": "namely",
    "incl": "including", "excl": "excluding", "esp": "especially", "usu": "usually", "orig": "originally",
}  # fmt: skip
_BEFORE_SMALL = {  # these are also ordinary words at the end of a sentence
    "max": "maximum", "min": "minimum", "avg": "average", "temp": "temperature", "est": "established",
    "tel": "telephone", "misc": "miscellaneous", "cont": "continued", "mfg": "manufacturing", "attn": "attention",
}  # fmt: skip
_BEFORE_NUMBER = {
    "nos": "numbers", "no": "number", "pp": "pages", "p": "page", "vol": "volume", "vols": "volumes", "ch": "chapter",
    "chs": "chapters", "chap": "chapter", "fig": "figure", "figs": "figures", "sec": "section", "sect": "section",
    "eq": "equation", "para": "paragraph", "ext": "extension", "rm": "room", "apt": "apartment", "ca": "circa",
    "c": "circa", "v": "verse", "rte": "route", "hwy": "highway", "ver": "version", "pt": "part", "bk": "book",
    "op": "opus", "ed": "edition", "max": "maximum", "min": "minimum", "approx": "approximately", "est": "established",
    "tel": "telephone", "nr": "number", "ste": "suite", "fl": "floor", "q": "question", "cf": "compare",
    "art": "article", "arts": "articles", "bldg": "building", "pg": "page", "pgs": "pages", "par": "paragraph",
    "paras": "paragraphs", "col": "column", "cols": "columns", "iss": "issue", "div": "division", "vv": "verses",
    "eqs": "equations", "secs": "sections", "sects": "sections", "incl": "including", "flt": "flight",
}  # fmt: skip


def _street(match: re.Match[str]) -> str:
    """Main St., 5th Ave.: the word before is a name or an ordinal."""
    return _STREETS[match[1].lower()] if _is_name(match) else match[0]


def _last_street(match: re.Match[str]) -> str:
    return f"{_STREETS[match[1].lower()]}." if _is_name(match) else match[0]


def _is_name(match: re.Match[str]) -> bool:
    return bool(re.search(r"(?:\b[A-Z][a-z'-]+|\d(?:st|nd|rd|th)) $", before(match, 20)))


def _before_number(match: re.Match[str]) -> str:
    """The word for "No." and "p." before a number. "no." in small letters after a verb of saying is the answer,
    and "art." in small letters is the word.
    """
    key = match[1].lower()
    if (key in ("c", "v", "p") and match[1].isupper()) or match[1] in ("art", "arts", "par"):
        return match[0]
    if match[1] == "no" and re.search(r"\b(?:said|says?|was|is|answered|replied|no,)\s$", before(match, 9)):
        return match[0]
    return f"{_BEFORE_NUMBER[key]} "


def _title(match: re.Match[str]) -> str:
    """Dr. Lee; the stop stays in "She is a Dr. She works here"."""
    ends = _NOUN.search(before(match, 20)) and _NEW_SENTENCE.match(after(match, 10))
    return _TITLES[(match[1] or match[2]).lower()] + ("." if ends else "")


_NOUN = re.compile(r"\b(?:the|an?|my|our|his|her|their|your|this|that|new|Gen|Sec)\.? $")
_NEW_SENTENCE = re.compile(r" (?:He|She|It|They|We|You|I|The|This|That|There|Then|But|And|His|Her)\b(?!\.)")


_CAPITAL_TITLES = tuple(title.capitalize() for title in _TITLES) + tuple(title.upper() for title in _TITLES)

STOP_RULES: tuple[Rule, ...] = (
    (r"\b(Gen|Rev)\.(?= \d{1,3}:\d)", lambda m: "Genesis" if m[1] == "Gen" else "Revelation"),
    (rf"(?<=[a-z] )(St|Ave|Blvd|Rd|Dr|Ln|Hwy|Sq|Pl|Ct|Pkwy|Mts|Bldg)\.{SENTENCE_ENDS}", _last_street),
    (r"(?<=[a-z] )(St|Ave|Blvd|Rd|Dr|Ln|Hwy|Sq|Pkwy|Mts|Bldg)\.(?=[,;:!?]| (?!(?-i:Dr|St)\b)[a-z])", _street),
    (rf"(?i)\b({any_of(_BEFORE_NUMBER)})\.\s?(?=#?\d)", _before_number),
    (r"(?i)\b(vols?|chap|chs?|pt|bk|sect?|figs?)\.\s?(?=(?-i:[IVXLC]+)\b)", _before_number),
    (r"(?<=\()([bd])\.\s?(?=\d{4})", lambda m: "born " if m[1] == "b" else "died "),
    (r"(?<=\d )v\.(?= )|(?<=[a-z] )v\.(?= [A-Z])", "versus"),
    (r"\b(Mr|Mrs|Ms|Dr)\.(?=[A-Z])", lambda m: f"{_TITLES[m[1].lower()]} "),
    (rf"\b(?<!&)({any_of(_CAPITAL_TITLES)})()\.(?=\s[A-Z])", _title),
    (
        r"(?i)\b(Dr|Prof|Mrs|Mr)\.(?=[\s,;:]|$)|\b((?-i:Gen|Rev|Sgt|Capt|Gov|Sen|Rep|Pres))\.(?=[\s,;:]|$)",
        _title,
    ),
    (r"\b([Nn])o\.(?= of\b)", lambda m: "Number" if m[1] == "N" else "number"),
    (r"\b(ed|trans|repr)\.(?= by\b)", lambda m: {"e": "edited", "t": "translated", "r": "reprinted"}[m[1][0]]),
    (rf"(?i)\b({any_of(_WORDS)})\.{SENTENCE_ENDS}", lambda m: f"{_WORDS[m[1].lower()]}."),
    (rf"(?i)\b({any_of(_WORDS)})\.(?!\w)", lambda m: _WORDS[m[1].lower()]),
    (r"(?i)\b(e\.g|i\.e)\b", lambda m: _WORDS[m[1].lower()]),
    (rf"\b(?<!\d )(?<!\d)((?i:{any_of(_BEFORE_SMALL)}))\.(?= [a-z(])", lambda m: _BEFORE_SMALL[m[1].lower()]),
    (r"(?<=[A-Za-z]{3} )Co\.(?=,| [A-Z&])|(?<=& )Co\.(?=[ ,])", "company"),
    (rf"(?<=[A-Za-z]{{3}} )Co\.{SENTENCE_ENDS}", "company."),
)
"""Abbreviations with a full stop. The stop stays where it ends the sentence."""

WORD_RULES: tuple[Rule, ...] = (
    (
        r"(?<=[a-z] )(St|Ave|Blvd|Rd|Ln|Hwy|Pkwy)"
        r"(?=[,;:!?]|\.?$| (?:and|in|at|to|is|near|was|on|between|from|by|[NS][EW]?|[EW])\b)",
        _street,
    ),
    (
        r"\b(Mr|Mrs|Ms|Dr|Prof|St|Sgt|Capt|Mt)(?=\s[A-Z][a-z])|\b(mr|mrs|dr|prof)(?= [a-z])",
        lambda m: _TITLES[(m[1] or m[2]).lower()],
    ),
    (r"\b([A-Z])&([A-Z])s\b", r"\1 and \2's"),
    (r"(?<= )vs(?= )", "versus"),
    (r"(?i)\btel\.?(?=:)", "telephone"),
    (r"\bext(?= \d)", "extension"),
)
"""Abbreviations without a full stop."""

SLASH_RULES: tuple[Rule, ...] = (
    (r"\b(?<![.'-])([Ww])/o(?!\w)", r"\1ithout"),
    (r"\b(?<![.'-])([Ww])/(?= ?[A-Za-z\d]{2})", r"\1ith "),
    (r"\bb/c(?= )", "because"),
    (r"\bc/o(?= )", "care of"),
    (r"(?i)\band ?/ ?or\b", "and or"),
    (r"\bs/he\b", "she or he"),
)
"""Abbreviations with a slash."""
