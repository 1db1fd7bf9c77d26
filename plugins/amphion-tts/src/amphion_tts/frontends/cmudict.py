"""ARPAbet for English from the CMU Pronouncing Dictionary: no native code, a permissive licence, no download.

A homograph gets the pronunciation that fits its sentence (`homographs`). Words that are not in the dictionary are built
from known parts (`word_forms`), short words in capitals are spelled, and a small network converts the others
(`letters_to_sounds`).
"""

import re
from functools import lru_cache
from itertools import groupby

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import normalize_english
from amphion_tts.frontends.dictionary import lookup, pronunciations
from amphion_tts.frontends.homographs import Context, choose, is_homograph
from amphion_tts.frontends.word_forms import derived, plural

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH", "V", "W",
    "Y", "Z", "ZH",
)  # fmt: skip
PUNCTUATION = tuple(" !'(),-.:;?")
ARPABET = (
    "_",
    *PUNCTUATION,
    *(vowel + stress for vowel in VOWELS for stress in ("", "0", "1", "2")),
    *CONSONANTS,
)
_LETTER_NAMES = {
    "a": "EY1", "b": "B IY1", "c": "S IY1", "d": "D IY1", "e": "IY1", "f": "EH1 F", "g": "JH IY1", "h": "EY1 CH",
    "i": "AY1", "j": "JH EY1", "k": "K EY1", "l": "EH1 L", "m": "EH1 M", "n": "EH1 N", "o": "OW1", "p": "P IY1",
    "q": "K Y UW1", "r": "AA1 R", "s": "EH1 S", "t": "T IY1", "u": "Y UW1", "v": "V IY1", "w": "D AH1 B AH0 L Y UW0",
    "x": "EH1 K S", "y": "W AY1", "z": "Z IY1",
}  # fmt: skip


class CMUDict(TextFrontend):
    """English text -> ARPAbet symbols with stress, spaces and punctuation."""

    class Config(FrontendConfig):
        """The symbol table: padding, punctuation, 15 vowels with and without stress marks, 24 consonants."""

        symbols: tuple[str, ...] = Field(
            default=ARPABET, description="all symbols that the model knows; the position of a symbol is its id"
        )
        blank: str | None = Field(default="_", description="symbol inserted between all others; null: none")

    config: Config

    def tokens(self, text: str) -> list[str]:
        """ARPAbet symbols, with a space between words.

        Raises DataError for a text without Latin letters and digits, and for a text with words of another script.
        """
        words, acronyms = _read(text)
        if unread := [word for word in re.findall(r"[^\W\d_]+", words) if not word.isascii()]:
            raise DataError(
                f"cmudict reads Latin letters only, and not {', '.join(map(repr, dict.fromkeys(unread)))[:80]}",
                hint="write these words in Latin letters, or take a voice with the frontend espeak",
            )
        items = _WORD_OR_MARK.findall(words)
        sentence = ["".join(item).lower() for item in items]
        found: list[str] = []
        for index, (letter, word, mark) in enumerate(items):
            if word or letter:
                if found and found[-1] != " ":
                    found.append(" ")
                found += (
                    _spelled(letter)
                    or _as_letters(word, acronyms)
                    or _in_context(sentence, index, word)
                    or pronounce(word)
                )
            elif found and found[-1] != mark:
                found.append(mark)
        if not any(symbol[0].isalpha() for symbol in found):
            raise DataError(
                f"there is nothing to say in English in {text[:40]!r}", hint="give a text with Latin letters"
            )
        return found

    def guessed(self, text: str) -> list[str]:
        """Words that no dictionary has and no rule builds, so that the network `letters_to_sounds` chose their sounds.

        Each is there once, as ``text`` writes it, without the ending of a possessive.
        """
        words, acronyms = _read(text)
        found = {
            _without_possessive(word.lower())
            for _, word, _ in _WORD_OR_MARK.findall(words)
            if word and not _as_letters(word, acronyms) and not is_homograph(word.lower()) and _is_guessed(word)
        }
        if not found:
            return []
        written = [_without_possessive(word) for word in re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text)]
        return [word for word in dict.fromkeys(written) if _fold(word).lower() in found]

    def phones(self, text: str) -> list[str]:
        """ARPAbet symbols with spaces between them, in capitals or not: ``HH AH0 L OW1 | W ER1 L D``.

        A vowel without a digit is unstressed; in a word without any stress, the first vowel is stressed. Raises
        DataError with the first unknown phone and its position.
        """
        found: list[str] = []
        for is_space, sounds in groupby(super().phones(text.upper()), " ".__eq__):
            found += [" "] if is_space else _with_stress([*sounds])
        return found


def _read(text: str) -> tuple[str, bool]:
    """The words of a text in Latin letters, and whether words such as US are acronyms there."""
    words = _fold(normalize_english(text))
    return words, not words.isupper() or " " not in words  # in a text of capitals, US may be the word


def _without_possessive(word: str) -> str:
    return re.sub("['’]s$|(?<=s)['’]$", "", word)


def _with_stress(sounds: list[str]) -> list[str]:
    """The sounds of a word with a digit behind each vowel."""
    stressed = any(sound[-1] in "12" for sound in sounds)
    marked: list[str] = []
    for sound in sounds:
        if sound in VOWELS:
            sound += "0" if stressed else "1"
            stressed = True
        marked.append(sound)
    return marked


_WORD_OR_MARK = re.compile(
    r"\b([Aa])\b(?:-|(?=\s*(?:[.,;:!?)\"]|$)))|([A-Za-z]+(?:'[A-Za-z]+)*)|([!(),.:;?]|(?<![A-Za-z])-(?![A-Za-z]))"
)
"""The letter A (with a hyphen after it, or before a mark), a word, or a mark. A hyphen inside a word is no pause."""
_ENDS = frozenset(".!?")


def _in_context(items: list[str], index: int, written: str) -> list[str]:
    """The sounds of a homograph among the words and marks of its sentence; empty for other words."""
    if not is_homograph(items[index]):
        return []
    start = next((at + 1 for at in range(index - 1, -1, -1) if items[at] in _ENDS), 0)
    end = next((at + 1 for at in range(index, len(items)) if items[at] in _ENDS), len(items))
    return choose(Context(items[start:end], index - start, written), pronunciations)


_ACRONYMS = frozenset({"US", "AI", "AD", "ID", "UN", "IT", "AM", "LA", "PA", "PR"})
"""Read letter by letter where they are in capitals, although the dictionary has a word with these letters."""


def _as_letters(word: str, acronyms: bool) -> list[str]:
    """The names of the letters of an acronym, also in the plural (GPUs); empty for other words."""
    stem = re.sub(r"(?<=[A-Z]{2})'?s$", "", word)
    if stem == word:
        return _spelled(word) if acronyms and word in _ACRONYMS else []
    if not stem.isupper() or lookup(word.lower()):
        return []
    return plural(_spelled(stem))


def _spelled(word: str) -> list[str]:
    """The names of the letters of a word; an apostrophe has none."""
    return [symbol for letter in word.lower() if letter in _LETTER_NAMES for symbol in _LETTER_NAMES[letter].split()]


def pronounce(word: str) -> list[str]:
    """The ARPAbet symbols of one word of Latin letters and apostrophes. The result is never empty."""
    if parts := _joined_parts(word):
        return [sound for part in parts for sound in (_spelled(part) if _is_acronym(part) else pronounce(part))]
    if known := _known(word):
        return known
    lower = word.lower()
    stem = _without_possessive(lower)
    return [*_by_letters(lower)] if stem in ("", lower) else plural([*_by_letters(stem)])


def _is_guessed(word: str) -> bool:
    """Whether `pronounce` needs the network for a word, or for a part of it."""
    if parts := _joined_parts(word):
        return any(not _is_acronym(part) and _is_guessed(part) for part in parts)
    return not _known(word)


def _known(word: str) -> list[str]:
    """The sounds of a word by the dictionary or by rules; empty for other words."""
    lower = word.lower()
    if known := lookup(lower):
        return known
    return _spelled(word) if (word.isupper() and len(word) <= 5) or _is_spelled(lower) else derived(lower)


def _joined_parts(word: str) -> list[str]:
    """The parts of a name such as GitHub that the dictionary does not have as a whole; empty for other words."""
    parts = [] if word.isupper() else _CAMEL_CASE.findall(word)
    if len(parts) < 2 or parts[0] in ("Mc", "Mac") or _is_spelled(word.lower()):
        return []
    return parts if any(map(_is_acronym, parts)) or not lookup(word.lower()) else []  # iOS is not the island


def _is_acronym(part: str) -> bool:
    return 1 < len(part) < 5 and part.isupper()


_CAMEL_CASE = re.compile(r"[A-Z]+(?![a-z'])|[A-Z]?[a-z']+")
"""The parts of a name such as GitHub, JavaScript and OpenAI."""


def _is_spelled(word: str) -> bool:
    """Whether a word has no vowel, such as html. A doubled letter, as in brrr, says that it is a sound."""
    letters = word.replace("'", "")
    return not re.search("[aeiouy]", letters) and not re.search(r"(.)\1", letters)


@lru_cache(maxsize=10_000)  # a name occurs often in a long text
def _by_letters(word: str) -> tuple[str, ...]:
    """The sounds of an unknown word by the network, with one primary stress."""
    from amphion_tts.frontends.letters_to_sounds import letters_to_sounds

    sounds = letters_to_sounds()(word)
    vowels = [index for index, sound in enumerate(sounds) if sound[-1].isdigit()]
    primary = [index for index in vowels if sounds[index].endswith("1")]
    for index in primary[1:]:
        sounds[index] = f"{sounds[index][:-1]}2"
    if vowels and not primary:
        sounds[vowels[0]] = f"{sounds[vowels[0]][:-1]}1"
    return tuple(sounds or _spelled(word))


_LATIN = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng", "ŧ": "t", "ə": "e",
})  # fmt: skip


def _fold(text: str) -> str:
    """Write Latin letters without accents."""
    import unicodedata

    decomposed = unicodedata.normalize("NFD", text.translate(_LATIN))
    return "".join(char for char in decomposed if not unicodedata.combining(char))
