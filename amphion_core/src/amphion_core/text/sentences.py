"""Cutting a text into sentences for synthesis, in any language, and removing what cannot be spoken."""

import re
import unicodedata

_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "rev",
        "gen",
        "col",
        "sgt",
        "capt",
        "lt",
        "jr",
        "sr",
        "vs",
        "etc",
        "no",
        "fig",
        "vol",
        "inc",
        "ltd",
        "co",
        "corp",
        "dept",
        "est",
        "approx",
        "ca",
        "al",
        "e.g",
        "i.e",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
    ]
)
_END = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？।؟]+[”’」』)\]]*|\n+)")
_SOFT = re.compile(r"[,;:،、，；：—–]+(?=\s|\Z)|\s")


def clean(text: str) -> str:
    """NFKC; emoji, pictures and control characters become spaces; white space is folded, line ends stay."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(char if char in "\n°" or unicodedata.category(char) not in _UNSPEAKABLE else " " for char in text)
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r" ?\n[ \n]*", "\n", text).strip()


_UNSPEAKABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk"})


def plain_marks(text: str) -> str:
    """Typographic quotes, dashes and dots as the ASCII marks that symbol tables hold."""
    return text.translate(_TYPOGRAPHIC)


_TYPOGRAPHIC = str.maketrans(
    {"‘": "'", "’": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "—": " - ", "–": "-", "…": "..."}
)


def split_sentences(text: str, *, max_chars: int = 400) -> list[str]:
    """Sentences in order; one longer than ``max_chars`` is cut at its last comma before that, else at a space.

    Cut after . ! ? … and their relatives in other scripts, and at line ends; not after abbreviations, initials, or
    inside numbers. Only white space is lost.
    """
    found, start = [], 0
    for match in _END.finditer(text):
        if "\n" in match[0] or not _is_inside(text, match.start(), match[0]):
            found.append(text[start : match.end()])
            start = match.end()
    found.append(text[start:])
    return [piece for sentence in found for piece in _cut(sentence.strip(), max_chars) if piece]


def _is_inside(text: str, place: int, mark: str) -> bool:
    """Whether the full stop at ``place`` belongs to an abbreviation or an initial."""
    if not mark.startswith(".") or len(mark) > 1:
        return False
    start = max(text.rfind(" ", 0, place), text.rfind("\n", 0, place)) + 1
    word = text[start:place].strip("\"'“‘([").lower()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i")


def _cut(sentence: str, limit: int) -> list[str]:
    pieces = []
    while len(sentence) > limit:
        places = [match.end() for match in _SOFT.finditer(sentence, 0, limit + 1) if match.end() <= limit]
        strong = [place for place in places if not sentence[place - 1].isspace() and place > limit // 4]
        place = strong[-1] if strong else places[-1] if places else limit
        pieces.append(sentence[:place].strip())
        sentence = sentence[place:].strip()
    return [*pieces, sentence]
