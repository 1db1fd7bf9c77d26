"""Write numbers of other languages than English so that eSpeak NG says their value.

eSpeak reads numbers itself. But in most languages it takes the spaces of 1 000 000 for the ends of numbers, in some it
says nothing for the decimal mark, and in a few it does not know 1.500. English has `amphion_core.text`.
"""

import re

HARD_SPACES = "\u00a0\u2007\u2009\u202f"
"""No-break and thin spaces, which stand between thousands."""
_HARD_SPACED = re.compile(rf"(?<![\w.,])[1-9]\d{{0,2}}(?:[{HARD_SPACES}]\d{{3}})+(?!\w)(?![{HARD_SPACES}]\d)")
_SPACED = re.compile(
    r"(?<![\w.,])(?<!\d )(?:[1-9]\d{0,2}(?: 000){1,4}|[1-9]\d?(?: \d{3}){2,4}|[1-9]\d{0,2} \d{3})(?!\w)(?! \d)"
)
"""1 000 000, 1 234 567 and 12 500. Three groups of three digits, as in 912 345 678, may be a telephone number."""
_DOTTED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3})+(?!\w)(?!\.\d)")
_DOTTED_UNKNOWN = frozenset({"cs", "sk", "hr", "bs", "sr", "hu", "eu"})
"""Languages that write 1.500 for a thousand and a half, where eSpeak says "one point five hundred"."""
_DECIMAL = re.compile(r"(?<![\d.,:A-Za-z])(\d+)([.,])(\d+)(?![.,:]?\d|[A-Za-z])")
_COMMA_UNKNOWN = frozenset({"af", "ba", "ht", "ka", "kk", "ky", "lb", "tk"})
"""Languages that write 3,5, where eSpeak knows 3.5 only."""
_MARK_WORDS = {
    "uk": (",", " кома "), "be": (",", " коска "), "ja": (".", "てん"), "ko": (".", " 점 "), "yue": (".", "點"),
}  # fmt: skip
"""The decimal mark of languages for which eSpeak says nothing, and its word. The decimals are said one by one."""
_WIDE_BEFORE = re.compile(r"(?<=[\u3400-\u9fff])(?=\d+\.\d)")
_HARD_SPACE = re.compile(f"[{HARD_SPACES}]")
_DEGREES = re.compile(r"(?<=\d)\s?º(?=\s?[CF]\b)")
_INDICATOR = re.compile(r"(?<=\d)\.(?=[ºª])")
_ARABIC_DECIMAL, _ARABIC_THOUSANDS = re.compile(r"(?<=\d)\u066b(?=\d)"), re.compile(r"(?<=\d)\u066c(?=\d)")
"""The marks of ٣٫١٤ and ١٬٢٣٤: eSpeak's voices of all languages in Arabic letters know the point as decimal mark."""


def plain_numbers(text: str, language: str) -> str:
    """The numbers of ``text`` as eSpeak's voice of ``language`` (a code such as ``cs``) reads them. Linear time."""
    text = _ARABIC_DECIMAL.sub(".", _ARABIC_THOUSANDS.sub("", text))
    text = _DEGREES.sub("°", _INDICATOR.sub("", text))
    for pattern in (_HARD_SPACED, _SPACED):
        text = pattern.sub(_digits, text)
    if language in _DOTTED_UNKNOWN:
        text = _DOTTED.sub(_digits, text)
    if language in _COMMA_UNKNOWN:
        text = _DECIMAL.sub(r"\1.\3", text)
    if language in _MARK_WORDS:
        mark, word = _MARK_WORDS[language]
        text = _DECIMAL.sub(lambda found: _with_word(found, mark, word), text)
    if language == "cmn":
        text = _WIDE_BEFORE.sub(" ", text)  # eSpeak says 点 at the start of a word only
    if language.startswith("pt"):
        text = _PORTUGUESE_INITIAL.sub(lambda found: found[0].lower(), text)
        text = _REAIS.sub(r"\1 reais", text)
    return _HARD_SPACE.sub(" ", text)


_PORTUGUESE_INITIAL = re.compile(r"(?<![\w.])[CDMX]\.(?= ?[A-ZÀ-Þ])")  # eSpeak reads "D. Pedro" as 500
_REAIS = re.compile(r"R\$\s?(\d+(?:[.,]\d+)*)")  # eSpeak says "real dollar"


def _digits(found: re.Match[str]) -> str:
    return re.sub(r"\D", "", found[0])


def _with_word(found: re.Match[str], mark: str, word: str) -> str:
    """3,14 with the word for the mark; where the other mark stands, it separates thousands."""
    whole, used, decimals = found.groups()
    if used != mark:
        return f"{whole}{decimals}" if len(decimals) == 3 else found[0]
    return f"{whole}{word}{' '.join(decimals)}"
