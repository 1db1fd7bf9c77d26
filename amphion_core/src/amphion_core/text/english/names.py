"""Say abbreviations, Roman numerals, and letters that are read by their names.

The letter A gets a hyphen where a word follows ("Vitamin A- is", "a-m"), so that no frontend reads it as the article.
"""

import re

from amphion_core.text.english.numbers import after, before, cardinal, ordinal
from amphion_core.text.english.quantities import Rule

_TITLES = {
    "mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "prof": "professor", "st": "saint", "rev": "reverend",
    "gen": "general", "col": "colonel", "sgt": "sergeant", "capt": "captain", "lt": "lieutenant", "hon": "honorable",
    "sen": "senator", "gov": "governor", "rep": "representative", "pres": "president", "maj": "major",
    "cmdr": "commander", "adm": "admiral", "cpl": "corporal", "pvt": "private", "mt": "mount", "ft": "fort",
    "messrs": "messieurs", "supt": "superintendent", "det": "detective", "insp": "inspector", "sec": "secretary",
    "amb": "ambassador",
}  # fmt: skip
_WITHOUT_STOP = ("mr", "mrs", "ms", "dr", "prof", "st", "sgt", "capt", "mt")
_STREETS = {
    "st": "street", "ave": "avenue", "blvd": "boulevard", "rd": "road", "dr": "drive", "ln": "lane", "hwy": "highway",
    "sq": "square", "pl": "place", "ct": "court", "pkwy": "parkway",
}  # fmt: skip
_ABBREVIATIONS = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "jr": "junior", "sr": "senior",
    "approx": "approximately", "dept": "department", "inc": "incorporated", "ltd": "limited", "corp": "corporation",
    "co": "company", "bros": "brothers", "govt": "government", "assn": "association", "univ": "university",
    "et al": "et al", "apt": "apartment", "tel": "telephone", "est": "established", "ave": "avenue",
    "blvd": "boulevard", "esq": "esquire", "misc": "miscellaneous", "max": "maximum", "min": "minimum",
    "avg": "average", "temp": "temperature",
}  # fmt: skip
_BEFORE_NUMBER = {
    "nos": "numbers", "no": "number", "pp": "pages", "p": "page", "vol": "volume", "vols": "volumes", "ch": "chapter",
    "chs": "chapters", "chap": "chapter", "fig": "figure", "figs": "figures", "sec": "section", "sect": "section",
    "eq": "equation", "art": "article", "para": "paragraph", "ext": "extension", "rm": "room", "apt": "apartment",
    "ca": "circa", "c": "circa", "approx": "approximately", "v": "verse", "tel": "telephone", "rte": "route",
    "hwy": "highway", "ver": "version", "est": "established", "pt": "part", "bk": "book", "op": "opus", "ed": "edition",
}  # fmt: skip
_KEEPS_CASE = ("max", "min", "avg", "temp", "co", "est", "tel", "misc")
_STARTERS = (
    "The|This|That|These|Those|There|Then|They|He|She|It|Its|We|You|His|Her|Our|Their|My|Your|In|On|At|But|And|So|If|When|"
    "After|Before|While|What|Who|Why|How|Where|Is|Are|Do|Does|Did|Was|Were|Can|Will|Would|Please|Now|Not|No|Yes|For|"
    "From|To|As|By|With|All|Some|Many|Most|However|Also|Another|Each|Every|Next|Later|Today|Call|See"
)
_ENDS = rf"(?=[\"')\]]*$|[\"')\]]*\s+[\"'(]*(?-i:{_STARTERS}|An?|I)\b(?!\.))"
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
_VALID = re.compile(r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_RULERS = (
    "henry|louis|george|charles|edward|elizabeth|james|john|paul|richard|william|pius|benedict|napoleon|philip|leo|"
    "clement|gregory|innocent|urban|boniface|alexander|catherine|peter|nicholas|ivan|frederick|ferdinand|francis|"
    "wilhelm|friedrich|mary|victoria|margaret|haakon|harald|olav|gustav|carl|christian|otto|heinrich|karl|alfonso|"
    "felipe|juan carlos|robert|david|malcolm|ramesses|ramses|ptolemy|darius|xerxes|artaxerxes|mehmed|murad|selim|"
    "suleiman|abdul hamid|cyrus|theodosius|constantine|justinian|basil|leopold|albert|umberto|emmanuel|joseph|stephen|"
    "harold|edmund|sixtus|julius|adrian|hadrian|celestine|eugene|honorius|callixtus|martin|baldwin|amenhotep|thutmose"
)
_LETTER_NOUNS = (
    "vitamin|type|plan|grade|class|group|section|appendix|exhibit|team|hepatitis|influenza|point|option|part|series|"
    "level|category|schedule|letter|column|row|gate|platform|terminal|block|unit|building|room|zone|model|figure|table|"
    "annex|step|case|side|track|version|phase|size|the letter|a capital|an"
)


def _roman(text: str) -> int | None:
    """The value of a Roman numeral, or None for letters that are none."""
    lower = text.lower()
    if not _VALID.fullmatch(lower) or not lower:
        return None
    values = [_ROMAN[letter] for letter in lower]
    return sum(-one if one < max(values[i:]) else one for i, one in enumerate(values))


def _chapter(match: re.Match[str]) -> str:
    number = _roman(match[2])
    return match[0] if number is None else f"{match[1]} {cardinal(number)}"


def _ruler(match: re.Match[str]) -> str:
    number = _roman(match[2])
    return match[0] if number is None else f"{match[1]} the {ordinal(number)}"


def _century(match: re.Match[str]) -> str:
    number = _roman(match[1])
    return match[0] if number is None else f"{ordinal(number)} {match[2]}"


def _initials(match: re.Match[str]) -> str:
    """U.S. as separate letters: U S."""
    letters = re.sub(r"[^A-Za-z]", "", match[0])
    return spell(letters, after(match, 3))


def spell(letters: str, after: str = "") -> str:
    """Letters with spaces between them; an A gets a hyphen where a letter or a word follows."""
    words = [
        f"{letter}-" if letter in "Aa" and (index < len(letters) - 1 or re.match(r"\s?\w", after)) else letter
        for index, letter in enumerate(letters)
    ]
    return " ".join(words).replace("- ", "-")


def _before_number(match: re.Match[str]) -> str:
    """The word for "No." and "p." before a number. "no." in small letters after a verb of saying is the answer."""
    key = match[1].lower()
    if key in ("c", "v", "p") and match[1].isupper():
        return match[0]
    if match[1] == "no" and re.search(r"\b(?:said|says?|was|is|answered|replied|no,)\s$", before(match, 9)):
        return match[0]
    return f"{_BEFORE_NUMBER[key]} "


def _title(match: re.Match[str]) -> str:
    key = match[1].lower()
    return _TITLES[key] if match[1][0].isupper() or key in ("mr", "mrs", "dr", "prof") else match[0]


def _long_chapter(match: re.Match[str]) -> str:
    """A numeral of two or more letters; in small letters only of i, v and x, so that "mix" stays a word."""
    if not (match[2].isupper() or set(match[2]) <= set("ivx")):
        return match[0]
    return _chapter(match)


def _sequel(match: re.Match[str]) -> str:
    """A numeral after a name, as in "Rocky III"; IV, XI, XX and others may also be abbreviations."""
    word = re.search(r"\b[A-Z][a-z]+ $", before(match, 20))
    if not word or match[1] not in ("II", "III", "VII", "VIII", "IX", "XII", "XIII", "XIV", "XVI", "XVII", "XVIII"):
        return match[0]
    return cardinal(_roman(match[1]) or 0)


def _ampersand(letters: str) -> str:
    return spell(letters, " and") if len(letters) < 2 or letters[0] == "A" else letters


def _table(table: dict[str, str], keys: tuple[str, ...] = ()) -> str:
    return "|".join(re.escape(key) for key in sorted(keys or table, key=len, reverse=True))


_LONG = tuple(key for key in _ABBREVIATIONS if key not in _KEEPS_CASE)
RULES: tuple[Rule, ...] = (
    (r"\b(?<![.'-])([Ww])/o(?= )", r"\1ithout"),
    (r"\b(?<![.'-])([Ww])/(?= ?[A-Za-z\d]{2})", r"\1ith "),
    (r"\bb/c(?= )", "because"),
    (r"\bc/o(?= )", "care of"),
    (r"(?i)\band/or\b", "and or"),
    (rf"(?<=[A-Za-z] )(St|Ave|Blvd|Rd|Dr|Ln|Hwy|Sq|Pl|Ct|Pkwy)\.{_ENDS}", lambda m: _STREETS[m[1].lower()] + "."),
    (
        r"(?<=[A-Za-z] )(St|Ave|Blvd|Rd|Dr|Ln|Hwy|Sq|Pkwy)\.?"
        r"(?=[,;:!?]|\.$| (?:and|in|at|to|is|near|was|on|between|from|by|has|for|until)\b)",
        lambda m: _STREETS[m[1].lower()],
    ),
    (rf"(?i)\b({_table(_BEFORE_NUMBER)})\.\s?(?=#?\d)", lambda m: _before_number(m)),
    (r"(?<=\d )v\.(?= )", "versus"),
    (rf"(?i)\b({_table(_TITLES)})\.(?=\s+[A-Z])", lambda m: _title(m)),
    (rf"(?i)\b({_table({}, _WITHOUT_STOP)})(?=\s+[A-Z][a-z])", lambda m: _title(m)),
    (r"(?i)\b(Dr|Prof|Mr|Mrs|Gen|Rev|Sgt|Capt|Gov|Sen)\.(?=\s|[,;:]|$)", lambda m: _TITLES[m[1].lower()]),
    (rf"(?i)\b({_table({}, _LONG)})\.{_ENDS}", lambda m: f"{_ABBREVIATIONS[m[1].lower()]}."),
    (rf"(?i)\b({_table({}, _LONG)})\.(?!\w)", lambda m: _ABBREVIATIONS[m[1].lower()]),
    (r"(?i)\b(e\.g|i\.e)\b", lambda m: _ABBREVIATIONS[m[1].lower()]),
    (
        rf"(?i)\b({_table({}, _KEEPS_CASE)})\.(?= [a-z\d(])|(?<=[A-Z][a-z]{{2}} )(Co)\.(?=,| [A-Z&])",
        lambda m: _ABBREVIATIONS[(m[1] or m[2]).lower()],
    ),
    (r"(?<= )vs?(?= )", lambda m: "versus" if m[0] == "vs" else m[0]),
    (r"(?<=[a-z] )v\.(?= [A-Z])", "versus"),
    (rf"\bPh\.\s?D\.{_ENDS}", "PhD."),
    (r"\bPh\.\s?D\b\.?", "PhD"),
    (rf"(?<![\w.])(?![AaPp]\.[Mm]\b)(?:[A-Za-z]\.)+[A-Za-z]\.{_ENDS}", lambda m: f"{_initials(m)}."),
    (r"(?<![\w.])(?![AaPp]\.[Mm]\b)(?:[A-Za-z]\.)+[A-Za-z](?:\.(?!\.\.)|(?![\w.]))(?!\w)", _initials),
    (
        rf"(?<=[a-z] )([A-HJ-Z])\.(?= (?!(?:{_STARTERS})\b)[A-Z][a-z])"
        rf"|(?:^|(?<=[\"'( ]))(?<![a-z] )([A-Z])\.(?= (?:[A-Z]\.|(?!(?:{_STARTERS})\b)[A-Z][a-z]))",
        lambda m: spell(m[1] or m[2], after(m, 3)),
    ),
    (
        r"(?i)\b(chapter|part|volume|act|scene|book|section|world war|appendix|phase|type|class|article|stage|level|"
        r"episode|super bowl|title|tier|grade|mark|mk|round|division|category|figure|table|annex|psalm|canto|apollo|"
        r"group|region|schedule|step|unit|rocky|fantasy)\s+([IVXLCDM]{2,}|[ivx]{2,})(?![\w'-])",
        lambda m: _long_chapter(m),
    ),
    (
        r"(?i)\b(chapter|part|volume|act|scene|world war|episode|super bowl|apollo|book|canto|psalm)"
        r"\s+([VX])(?![\w'-]|\.\w)",
        lambda m: _chapter(m) if m[2].isupper() else m[0],
    ),
    (
        r"\b(World War|WORLD WAR|Chapter|Part|Volume|Act|Scene|Book|Episode|Apollo|Canto)\s+(I)"
        r"(?=[,.;:!?)\"]|$| (?:and|of|was|is|in|to|began|ended|the|were|had)\b)",
        _chapter,
    ),
    (
        rf"(?i)\b((?:king |queen |pope )?(?:{_RULERS}))\s+([IVX]{{2,}}|V)(?![\w-])",
        lambda m: _ruler(m) if m[2].isupper() else m[0],
    ),
    (
        r"\b((?:King|Queen|Pope|Emperor|Tsar|Czar|Sultan|Prince|Pharaoh)\s+[A-Z][a-z]+)\s+([IVX]{2,}|[VX])(?![\w-])",
        _ruler,
    ),
    (
        rf"\b((?:King |Queen |Pope |Emperor )?(?i:{_RULERS}))\s+(I)"
        r"(?=[,.;:!?)\"]|'s\b|$| (?:of|was|is|died|ruled|became|reigned|and|had)\b)",
        _ruler,
    ),
    (r"\b([IVX]{2,})(?:th|st|nd|rd)? (century|centuries|Century)\b", _century),
    (r"(?<=[a-z] )([IVX]{2,})(?![\w'-])", lambda m: _sequel(m)),
    (r"^(II|III|IV|VI|VII|VIII|IX|XI|XII|XIII|XIV|XV)\.(?= )", lambda m: f"{cardinal(_roman(m[1]) or 0)}."),
    (rf"\b((?i:{_LETTER_NOUNS})) A(?= (?!Tale|Man|Story)\w)", r"\1 A-"),
    (r"\bA(?= (?:and|or|to|vs|versus|through|plus|minus) [B-Z]\b)", "A-"),
    (r"\b([A-Z])/([A-Z])\b(?![/\w])", lambda m: spell(m[1] + m[2], after(m, 3))),
    (r"(?i)\bn/a\b", "N A"),
    (r"\b([A-Z]{1,3})&([A-Z]{1,3})\b", lambda m: f"{_ampersand(m[1])} and {m[2]}"),
)
"""Abbreviations, initials, Roman numerals and letters."""
