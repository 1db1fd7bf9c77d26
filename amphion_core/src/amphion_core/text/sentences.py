"""Split a text of any language into sentences for synthesis, and remove characters that cannot be spoken.

The rules decide each mark once, so the time grows linearly with the text. A mark at which no rule is sure stays inside
its sentence: a missing break is hardly heard, a wrong one is.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator

from amphion_core.text.abbreviations import Stops, stops, words
from amphion_core.text.line_breaks import paragraphs

_CLOSING = "\"'”’»“)\\]}›」』】》〉）"
_END = re.compile(
    rf"(?P<spaced>\.(?: \.)+)|(?P<mark>[.!?…‽]+)(?:[{_CLOSING}]| »(?=\s|\Z))*"
    rf"|(?P<full>[。！？．｡۔؟।॥။።፧։\u037e;]+)[{_CLOSING}]*"
)
_NEXT = re.compile(r"(?P<space>\s*)(?P<open>[^\w\s]{0,8})(?P<word>[^\W\d_]{0,30})(?P<digit>\d?)(?P<stop>\.?)")
_TOKEN = re.compile(r"(?:\w{1,4}\. ?){0,5}[\w/:-]{1,20}\Z")
_INITIALS = re.compile(r"(?:[^\W\d_]{1,3}\.)*[^\W\d_]|(?:[^\W\d_]{1,3}\.)+[^\W\d_]{1,3}")
_NO_WORD = re.compile(r"(?!(?:[kcm]m|[km]g|ml)\Z)[b-df-hj-np-tv-xzß]{2,6}", re.I)  # has no vowel and is no unit
_LIST_NUMBER = re.compile(r"[^\w-]*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})\Z")
_ROMAN = re.compile(r"[IVXLC]{2,6}|[A-HJ-Z]")
_TIME_FIRST = re.compile(
    r"\W*(?:at|by|about|around|until|till|before|after|from|since|on|it's)\b(?:\s+\S+){0,4}\s*\Z", re.I
)
_CALENDAR = words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december est edt cst cdt mst mdt pst pdt gmt utc cet"
)
_GERMAN_MONTHS = words(
    "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert"
)
_AND_SO_ON = words("etc ecc enz osv o.s.v itd itp atd apod atď stb jne vb т.д т.п др κ.λπ κλπ")
_CLAUSE_END = r"[,;:،؛—–]+(?=\s|\Z)|[、，；：]+"
_CLAUSE = re.compile(rf"{_CLAUSE_END}|(?<=\s)--?(?=\s)")
_SOFT = re.compile(rf"{_CLAUSE_END}|\s")


def clean(text: str, keep: Collection[str] = ()) -> str:
    """Normalise a text by NFKC and clean it: emoji, symbols and control characters become spaces.

    Characters that are not seen, such as soft hyphens, are removed, so that they separate no word. Repeated white space
    becomes one space; line ends are kept. Characters in ``keep`` stay as they are.
    """
    kept = "".join(char for char in set(text) if char in keep and _normalised(char) != char)
    pieces = re.split(f"([{re.escape(kept)}])", text) if kept else [text]
    pieces[::2] = [_normalised(piece) for piece in pieces[::2]]
    text = re.sub(r"[^\S\n]+", " ", "".join(pieces))
    return re.sub(r" ?\n[ \n]*", "\n", text).strip()


def _normalised(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_BEFORE_NFKC))
    return "".join(char if char in "\n°" or unicodedata.category(char) not in _UNSPEAKABLE else " " for char in text)


_UNSPEAKABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk"})
_UNSEEN = "\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_BEFORE_NFKC = str.maketrans(dict.fromkeys(_UNSEEN, "") | {"´": "'"})  # NFKC would make "´" a space and a mark


def plain_marks(text: str, keep: Collection[str] = ()) -> str:
    """Replace typographic quotes, dashes and dots, and the stops of other scripts, by ASCII marks.

    Symbol tables mostly contain only these. Characters in ``keep`` stay as they are.
    """
    return text.translate({code: mark for code, mark in _TYPOGRAPHIC.items() if chr(code) not in keep})


_TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("‘’´ʼ′", "'") | dict.fromkeys("“”„‟«»″「」『』《》〈〉", '"') | dict.fromkeys("‐‑‒–−", "-")
    | dict.fromkeys("—―", " - ") | {"…": "..."}
    | {"。": ". ", "、": ", "} | dict.fromkeys("।॥۔።։။", ".") | dict.fromkeys("،፣၊", ",") | dict.fromkeys("؛፤", ";")
    | dict.fromkeys("؟፧", "?")
)  # fmt: skip


def split_sentences(text: str, *, language: str = "en", max_chars: int = 400) -> list[str]:
    """The sentences of a text in order, each on one line. Only white space is removed or changed.

    A sentence ends after . ! ? … and the corresponding marks of other scripts, at a blank line, and at the end of a
    line that is complete, as in a list. It does not end at the line breaks of wrapped prose, inside numbers, and after
    abbreviations, initials and ordinals, which depend on the ``language`` (a code such as ``de`` or ``en-us``).
    A sentence longer than ``max_chars`` is cut at the last comma before that length, or at the last space if there is
    no comma.
    """
    return [
        piece
        for lines in paragraphs(text)
        for line in lines
        for sentence in sentences_of_line(line, language)
        for piece in cut_sentence(sentence, max_chars)
    ]


def sentences_of_line(line: str, language: str = "en") -> list[str]:
    """The sentences of a text that counts as one line, in order."""
    found = []
    start = 0
    for end in [*sentence_ends(line, language), len(line)]:
        if sentence := line[start:end].strip():
            found.append(sentence)
        start = end
    return found


def sentence_ends(text: str, language: str = "en") -> Iterator[int]:
    """The positions in ``text`` after the marks that end a sentence. All of ``text`` counts as one line."""
    table = stops(language)
    greek = language.startswith("el")
    no_case = not any(map(str.isupper, text))  # lower case may begin a sentence in a text that has nothing else
    start = 0
    for match in _END.finditer(text):
        if _ends(text, start, match, table, greek=greek, no_case=no_case):
            start = match.end()
            yield start


def _ends(text: str, start: int, match: re.Match[str], table: Stops, *, greek: bool, no_case: bool) -> bool:
    """Whether the marks of ``match`` end the sentence that begins at ``start``."""
    following = _NEXT.match(text, match.end())
    assert following is not None  # every part of the pattern may be empty
    if match["full"]:
        return _full_stop_ends(text, match, following, greek=greek)
    if match.end() == len(text):
        return True
    if not following["space"]:
        return False
    word, opened = following["word"], following["open"]
    if word.islower() and not no_case:
        return False
    if match["spaced"]:
        return match["spaced"].count(".") > 3
    mark = match["mark"]
    if mark.strip(".…"):  # has ! or ?
        return True
    if mark != ".":
        before = text[max(start, match.start() - 20) : match.start()]
        return not before.endswith(" ") and any(map(str.isalnum, before))  # " ... " stands for words left out
    if "¿" in opened or "¡" in opened:
        return True
    return not _belongs_to_word(text, start, match.start(), following, table)


def _full_stop_ends(text: str, match: re.Match[str], following: re.Match[str], *, greek: bool) -> bool:
    """Whether a mark of a script whose stops end a sentence without a space does so here."""
    mark = match["full"]
    if set(mark) <= {";"}:  # the Greek question mark
        return greek and bool(following["space"] or match.end() == len(text))
    if mark == "．" and text[match.start() - 1 : match.start()].isdigit() and following["digit"]:
        return False
    quoted = match[0][-1] in "」』”"
    return not (quoted and text[match.end() : match.end() + 1] in tuple("とって、。，"))  # 「はい。」と言った


def _belongs_to_word(text: str, start: int, position: int, following: re.Match[str], table: Stops) -> bool:
    """Whether the full stop at ``position`` belongs to an abbreviation, an initial, an ordinal or a list number."""
    if position - start <= 8 and _LIST_NUMBER.match(text[start:position]):
        return True  # "1. First item"
    found = _TOKEN.search(text[max(start, position - 30) : position])
    if found is None:
        return False
    token = found[0].replace(" ", "").lower()  # "z.b" of "z. B."
    last = re.split(r"[^\w.]", found[0])[-1] or found[0]  # without what precedes a space, a hyphen or a slash
    keys = {token, found[0].rpartition(" ")[2].lower(), last.lower()}
    if last.endswith("str"):  # Hauptstr. 5
        keys.add("str")
    word = following["word"]
    starts = word.lower() in table.starters and not (len(word) == 1 and following["stop"])
    if keys & table.never or (len(word) == 1 and following["stop"] and len(last) == 1 and last.isalpha()):
        return True  # "z. B.", "J. R. R. Tolkien"
    if following["digit"] and not word:
        return bool(keys & (table.before_number | table.seldom)) or bool(_INITIALS.fullmatch(last) and "." in last)
    if keys & table.before_number and _ROMAN.fullmatch(word) and not starts:
        return True
    if keys & {"a.m", "p.m"}:
        first = bool(_TIME_FIRST.match(text[start:position])) if position - start < 60 else False
        return word.lower() in _CALENDAR or (first and not starts)
    if starts or (keys & _AND_SO_ON and not table.nouns_upper):
        return False
    if re.fullmatch(r"(?:\d{1,2}[.-])?\d{1,2}", found[0].rpartition(" ")[2]):
        counted = any(token.startswith(f"{each}.") for each in table.before_number)  # "Bd. 8" is no ordinal
        return (table.ordinals and not counted) or word.lower() in _GERMAN_MONTHS
    if table.ordinals and re.fullmatch(r"[IVX]{2,5}", last):
        return True  # "Ludwig XIV. König von Frankreich"
    if keys & table.seldom or (_INITIALS.fullmatch(last) and (last[-1].isupper() or "." in last)):
        return True
    return bool(table.vowels and _NO_WORD.fullmatch(last) and not last.isupper())


def clause_ends(sentence: str) -> list[int]:
    """The positions in ``sentence`` after the commas, semicolons, colons and dashes that separate clauses."""
    return [match.end() for match in _CLAUSE.finditer(sentence)]


def cut_sentence(sentence: str, limit: int) -> Iterator[str]:
    """The sentence in pieces of at most ``limit`` characters, cut at the last comma or else at the last space."""
    start = 0
    while len(sentence) - start > limit:
        found = _SOFT.finditer(sentence, start, start + limit + 1)
        ends = [match.end() for match in found if match.end() <= start + limit]
        commas = [end for end in ends if not sentence[end - 1].isspace() and end - start > limit // 4]
        end = commas[-1] if commas else ends[-1] if ends else _between_characters(sentence, start + limit)
        if piece := sentence[start:end].strip():
            yield piece
        start = end
        while start < len(sentence) and sentence[start].isspace():
            start += 1
    if rest := sentence[start:].strip():
        yield rest


def _between_characters(sentence: str, end: int) -> int:
    """``end``, or a few code points earlier where it would separate a letter from its marks."""
    for earlier in range(end, max(end - 4, 1), -1):
        if not unicodedata.category(sentence[earlier]).startswith("M"):
            return earlier
    return end
