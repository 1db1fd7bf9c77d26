"""Say Roman numerals, initials, and letters that are read by their names.

The letter A gets a hyphen where a word follows ("Vitamin A- is", "a-m"), so that no frontend reads it as the article.
"""

import re

from amphion_core.text.english.numbers import cardinal, ordinal
from amphion_core.text.english.rules import Rule, after, before

_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
_VALID = re.compile(r"(?=.)m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_RULERS = (
    "henry|louis|george|charles|edward|elizabeth|james|john|paul|richard|william|pius|benedict|napoleon|philip|leo|"
    "clement|gregory|innocent|urban|boniface|alexander|catherine|peter|nicholas|ivan|frederick|ferdinand|francis|"
    "wilhelm|friedrich|mary|victoria|margaret|haakon|harald|olav|gustav|carl|christian|otto|heinrich|karl|alfonso|"
    "felipe|juan carlos|robert|david|malcolm|ramesses|ramses|ptolemy|darius|xerxes|artaxerxes|mehmed|murad|selim|"
    "suleiman|abdul hamid|cyrus|theodosius|constantine|justinian|basil|leopold|albert|umberto|emmanuel|joseph|stephen|"
    "harold|edmund|sixtus|julius|adrian|hadrian|celestine|eugene|honorius|callixtus|martin|baldwin|amenhotep|thutmose"
)
_RULER_TITLES = "King|Queen|Pope|Emperor|Empress|Tsar|Czar|Sultan|Prince|Pharaoh|Shah"
_NUMBERED = (  # the noun before a numeral of two or more letters
    "chapter|part|volume|act|scene|book|section|world war|appendix|phase|type|class|article|stage|level|episode|"
    "super bowl|title|tier|grade|mark|mk|round|division|category|figure|table|annex|psalm|canto|apollo|group|region|"
    "schedule|step|unit"
)
_CLEARLY_NUMBERED = (
    "chapter|part|volume|act|scene|world war|episode|super bowl|apollo|book|canto|psalm|article|amendment"
)
_AFTER_ONE = "and|of|was|is|in|to|began|begins|ended|ends|the|were|had|has|done|over|covers|deals|starts|started"
_SEQUELS = ("II", "III", "VII", "VIII", "IX", "XII", "XIII", "XIV", "XVI", "XVII", "XVIII")
_LETTER_NOUNS = (
    "vitamin|type|plan|grade|class|group|section|appendix|exhibit|team|hepatitis|influenza|point|option|part|series|"
    "level|category|schedule|letter|column|row|gate|platform|terminal|block|unit|building|room|zone|model|figure|table|"
    "annex|step|case|side|track|version|phase|size|capital|an"
)
STARTERS = (
    "The|This|That|These|Those|There|Then|They|He|She|It|Its|We|You|His|Her|Our|Their|My|Your|In|On|At|But|And|So|If|When|"
    "After|Before|While|What|Who|Why|How|Where|Is|Are|Do|Does|Did|Was|Were|Can|Will|Would|Please|Now|Not|No|Yes|For|"
    "From|To|As|By|With|All|Some|Many|Most|However|Also|Another|Each|Every|Next|Later|Today|Call|See"
)
"""Words that begin a sentence after an abbreviation, with a capital letter."""
SENTENCE_ENDS = rf"(?=[\"')\]]*$|[\"')\]]*\s+[\"'(]*(?-i:{STARTERS}|An?|I)\b(?!\.))"
"""The position after a full stop that belongs to an abbreviation and also ends the sentence."""


def spell(letters: str, following: str = "") -> str:
    """Letters with spaces between them; an A gets a hyphen where a letter or a word follows.

    >>> spell("USA", " is"), spell("am")
    ('U S A-', 'a-m')
    """
    words = [
        f"{letter}-" if letter in "Aa" and (index < len(letters) - 1 or re.match(r"\s?\w", following)) else letter
        for index, letter in enumerate(letters)
    ]
    return " ".join(words).replace("- ", "-")


def roman(text: str) -> int | None:
    """The value of a Roman numeral, or None for letters that are none."""
    lower = text.lower()
    if not _VALID.fullmatch(lower):
        return None
    values = [_ROMAN[letter] for letter in lower]
    return sum(-one if one < max(values[i:]) else one for i, one in enumerate(values))


def _numbered(match: re.Match[str]) -> str:
    """Chapter IV. In small letters only i, v and x are numerals, so that "section mix" stays as it is."""
    number = roman(match[2])
    small = match[2].islower()
    if number is None or (small and (len(match[2]) == 1 or not set(match[2]) <= set("ivx"))):
        return match[0]
    return f"{match[1]} {cardinal(number)}"


def _several_numbered(match: re.Match[str]) -> str:
    """Chapters II and III, Type I and II."""
    first, second = roman(match[2]), roman(match[4])
    if first is None or second is None:
        return match[0]
    return f"{match[1]} {cardinal(first)} {_JOINED.get(match[3]) or match[3].strip()} {cardinal(second)}"


_JOINED = {"-": "to", "/": "slash"}


def _ruler(match: re.Match[str]) -> str:
    number = roman(match[2])
    return match[0] if number is None or match[2].islower() else f"{match[1]} the {ordinal(number)}"


def _century(match: re.Match[str]) -> str:
    number = roman(match[1])
    return match[0] if number is None else f"{ordinal(number)} {match[2]}"


def _sequel(match: re.Match[str]) -> str:
    """A numeral after a name, as in "Rocky III"; IV, XI, XX and others may also be abbreviations."""
    if match[1] not in _SEQUELS or not re.search(r"\b[A-Z][a-z]+ $", before(match, 20)):
        return match[0]
    return cardinal(roman(match[1]) or 0)


def _initials(match: re.Match[str]) -> str:
    """U.S. as separate letters: U S. The stop stays where it ends the sentence."""
    letters = re.sub(r"[^A-Za-z]", "", match[0])
    ends = match[0].endswith(".") and _AT_SENTENCE_END.match(after(match, 20))
    return f"{spell(letters)}." if ends else spell(letters, after(match, 3))


_AT_SENTENCE_END = re.compile(SENTENCE_ENDS)


def _middle_initial(match: re.Match[str]) -> str:
    """The W of George W. Bush, without its stop; "plan B. People" keeps the stop."""
    return spell(match[1], after(match, 3)) if re.search(r"(?:^|[A-Z][a-z]+ )$", before(match, 20)) else match[0]


def _slash_or_ampersand(match: re.Match[str]) -> str:
    """A/C, AT&T."""
    if match[2]:
        return spell(match[1] + match[3], after(match, 3))
    first = spell(match[4], " and") if match[4].startswith("A") else match[4]
    return f"{first} and {match[6]}"


INITIAL_RULES: tuple[Rule, ...] = (
    (r"\b([BM])\.\s?Sc\.?(?!\w)", r"\1 S C"),
    (rf"\bPh\.\s?D\.{SENTENCE_ENDS}", "PhD."),
    (r"\bPh\.\s?D\b\.?", "PhD"),
    (r"(?<![\w.])(?![AaPp]\.[Mm]\b)(?:[A-Za-z]\.)+[A-Za-z](?:\.(?!\.\.)|(?![\w.]))(?!\w)", _initials),
    (rf"(?<=[a-z] )([A-HJ-Z])\.(?= (?!(?:{STARTERS})\b)[A-Z][a-z])", _middle_initial),
    (
        rf"(?:^|(?<=[\"'( ]))(?<![a-z] )([A-Z])\.(?= (?:[A-Z]\.|(?!(?:{STARTERS})\b)[A-Z][a-z]))",
        lambda m: spell(m[1], after(m, 3)),
    ),
)
"""Letters with full stops."""

ROMAN_RULES: tuple[Rule, ...] = (
    (r"\bWW ?(II?|[12])\b", lambda m: f"World War {'one' if m[1] in ('I', '1') else 'two'}"),
    (rf"\b((?i:{_NUMBERED})s?) ([IVX]+)( and | or | to | through |[-/])([IVX]+)(?![\w'-])", _several_numbered),
    (rf"\b((?i:{_NUMBERED}))\s([IVXLCDM]{{2,}}|[ivx]{{2,}})(?![\w'-])", _numbered),
    (rf"\b((?i:{_CLEARLY_NUMBERED}))\s([VX])(?![\w'-]|\.\w)", _numbered),
    (
        rf"\b(World War|WORLD WAR|Chapter|Part|Volume|Act|Scene|Book|Episode|Apollo|Canto)\s(I)"
        rf"(?=[,.;:!?)\"]|$| (?:{_AFTER_ONE})\b)",
        _numbered,
    ),
    (
        r"\b((?i:type|class|phase|stage)) (I)"
        r"(?=[.,;:!?)]|$| (?:errors?|diabetes|clinical|trials?|stud(?:y|ies)|cancers?|drugs?)\b)",
        _numbered,
    ),
    (rf"\b((?i:{_RULERS}))\s([IVX]{{2,}}|V)(?![\w-])", _ruler),
    (rf"\b((?:{_RULER_TITLES})\s[A-Z][a-z]+)\s([IVX]{{2,}}|[VX])(?![\w-])", _ruler),
    (rf"\b((?i:{_RULERS}))\s(I)(?=[,.;:!?)\"]|'s\b|$| (?:of|was|is|died|ruled|became|reigned|and|had)\b)", _ruler),
    (r"\b([IVX]{2,})(?:th|st|nd|rd)? (century|centuries|Century)\b", _century),
    (r"(?<=[a-z] )([IVX]{2,})(?![\w'-])", _sequel),
    (r"^(II|III|IV|VI|VII|VIII|IX|XI|XII|XIII|XIV|XV)\.(?= )", lambda m: f"{cardinal(roman(m[1]) or 0)}."),
)
"""Roman numerals, only beside words that are numbered, names of rulers and names in capital letters."""

LETTER_RULES: tuple[Rule, ...] = (
    (rf"\b((?i:{_LETTER_NOUNS})) A(?= (?!Tale|Man|Story)\w)", r"\1 A-"),
    (r"\bA(?= [B-Z] [A-Z]\b| (?:is|was) for\b)", "A-"),
    (r"\bA(?= (?:and|or|to|vs|versus|through|plus|minus) [B-Z]\b)", "A-"),
    (r"\b(?<![\w&-])([A-DF])-(?=[.,;:!?)]|$)|(?<=\b[Aa] )([B-DF])-(?= )", lambda m: f"{m[1] or m[2]} minus"),
    (r"(?i)\bn/a\b", "N A"),
    (r"\b([A-Z])(/)([A-Z])\b(?![/\w])|\b([A-Z]{1,3})(&)([A-Z]{1,3})\b", _slash_or_ampersand),
)
"""Letters that are read by their names."""
