"""Notices captions that a text encoder does not understand: another script, or the small words of another language."""

import re
import unicodedata

# Frequent small words that are no English words. One of them, without any English one, is enough for a note.
_WORDS = {
    "de": "der das ein eine einen und ist nicht mit auf im dem den bellt zweimal",
    "fr": "le la les une des et est avec dans sur qui du chien",
    "es": "el la los las un una y es con en que del perro",
    "it": "il lo gli una e che con nel della di cane",
    "pt": "o os uma e com em que da do cachorro",
    "nl": "de het een en met op van hond",
    "sv": "en ett och som med en hund",
    "pl": "jest nie i na pies z",
    "ro": "un o si este cu pe care caine",
}
_ENGLISH = frozenset((
    "the", "an", "of", "is", "are", "and", "at", "to", "then", "while", "it", "its", "by", "from", "into", "for", "as",
    "out", "over", "under", "near", "through", "dog", "cat", "rain",
))  # fmt: skip
_NAMES = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch",
    "sv": "Swedish", "pl": "Polish", "ro": "Romanian",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")


def foreign_note(text: str, languages: tuple[str, ...]) -> str | None:
    """A note for a caption that is probably in none of ``languages``; None if it may be. Empty: any language is read.

    >>> foreign_note("ein Hund bellt zweimal", ("en",))
    'the caption seems to be German, and the text encoder reads en'
    >>> foreign_note("a dog barks twice", ("en",)) is None
    True
    """
    words = _WORD.findall(text.lower())
    if not languages or not words:
        return None
    letters = [char for word in words for char in word]
    other = [char for char in letters if not unicodedata.name(char, "LATIN").startswith("LATIN")]
    read = " ".join(languages)
    if 2 * len(other) > len(letters):
        script = unicodedata.name(other[0], "").split()[0].lower()
        return f"the caption is written in letters of another script ({script}), and the text encoder reads {read}"
    if set(words) & _ENGLISH:
        return None
    found = {code: sum(word in known.split() for word in words) for code, known in _WORDS.items()}
    best = max(found, key=lambda code: found[code])
    if best in languages or found[best] < (1 if len(words) < 4 else 2):
        return None
    return f"the caption seems to be {_NAMES[best]}, and the text encoder reads {read}"
