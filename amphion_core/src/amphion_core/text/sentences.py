"""Split a text of any language into sentences for synthesis, and remove characters that cannot be spoken."""

import re
import unicodedata

_ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "rev", "gen", "col", "sgt", "capt", "lt", "jr", "sr", "vs", "etc",
    "no", "fig", "vol", "inc", "ltd", "co", "corp", "dept", "est", "approx", "ca", "al", "e.g", "i.e", "jan",
    "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
})  # fmt: skip
_END = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？।؟]+[”’」』)\]]*|\n+)")
_SOFT = re.compile(r"[,;:،、，；：—–]+(?=\s|\Z)|\s")


def clean(text: str) -> str:
    """Normalise a text by NFKC and clean it: emoji, symbols and control characters become spaces.

    Repeated white space becomes one space; line ends are kept.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(char if char in "\n°" or unicodedata.category(char) not in _UNSPEAKABLE else " " for char in text)
    text = re.sub(r"[^\S\n]+", " ", text)
    return re.sub(r" ?\n[ \n]*", "\n", text).strip()


_UNSPEAKABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk"})


def plain_marks(text: str) -> str:
    """Replace typographic quotes, dashes and dots by the ASCII marks that symbol tables contain."""
    return text.translate(_TYPOGRAPHIC)


_TYPOGRAPHIC = str.maketrans(
    {"‘": "'", "’": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "—": " - ", "–": "-", "…": "..."}
)


def split_sentences(text: str, *, max_chars: int = 400) -> list[str]:
    """The sentences of a text in order. Only white space is removed.

    A sentence ends after . ! ? … and the corresponding marks of other scripts, and at a line end; not after
    abbreviations and initials, and not inside numbers. A sentence longer than ``max_chars`` is cut at the last comma
    before that length, or at the last space if there is no comma.
    """
    found, start = [], 0
    for match in _END.finditer(text):
        if "\n" in match[0] or not _is_abbreviation(text, match.start(), match[0]):
            found.append(text[start : match.end()])
            start = match.end()
    found.append(text[start:])
    return [piece for sentence in found for piece in _cut(sentence.strip(), max_chars) if piece]


def _is_abbreviation(text: str, position: int, mark: str) -> bool:
    """Whether the full stop at ``position`` belongs to an abbreviation or an initial."""
    if not mark.startswith(".") or len(mark) > 1:
        return False
    start = max(text.rfind(" ", 0, position), text.rfind("\n", 0, position)) + 1
    word = text[start:position].strip("\"'“‘([").lower()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i")


def _cut(sentence: str, limit: int) -> list[str]:
    pieces = []
    while len(sentence) > limit:
        ends = [match.end() for match in _SOFT.finditer(sentence, 0, limit + 1) if match.end() <= limit]
        commas = [end for end in ends if not sentence[end - 1].isspace() and end > limit // 4]
        end = commas[-1] if commas else ends[-1] if ends else limit
        pieces.append(sentence[:end].strip())
        sentence = sentence[end:].strip()
    return [*pieces, sentence]
