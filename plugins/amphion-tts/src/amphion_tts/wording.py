"""The symbols of a sentence in which the phones of some words are stated.

The frontend gets the sentence with a stand-in for each of these words, so that it reads the other words as in a
sentence: "a" before a word is no letter, and "the" depends on the sound that follows. The symbols of the stand-ins are
then replaced. Where that does not work, the words before and after are read alone.
"""

import re
from dataclasses import dataclass

from amphion_core.api import TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import plain_marks
from amphion_tts.markup import PHONES, Phones
from amphion_tts.passages import Words

_STAND_IN = "ogovidu"  # no word of a language
_VOICELESS = frozenset(("P", "T", "K", "F", "TH", *"ptkfθ"))
_SIBILANTS = frozenset(("S", "Z", "SH", "ZH", "CH", "JH", *"szʃʒ"))
_VOWELS = frozenset("aeiouyAEIOUɑɐɒæɔəɘɚɛɜɝɞɨɪɯɵøœɶʉʊʌɤʏᵻ")
_MARKS_BEFORE = re.compile(r"[^\w]*")


@dataclass(frozen=True, slots=True)
class Part:
    """Some words of a piece with the spaces around them, and the symbols that stand for them.

    ``is_word`` is False where the user wrote phones and no word. ``is_stated`` is True where the user or a lexicon
    states the phones.
    """

    text: str
    tokens: tuple[str, ...]
    is_word: bool = True
    is_stated: bool = False


def parts_of(words: Words, frontend: TextFrontend) -> tuple[Part, ...]:
    """The words in parts: the text between the words whose phones are stated, and each of these."""
    if not words.phones:
        return (Part(words.text, tuple(frontend.tokens(words.text))),)
    texts = words.text.split(PHONES)
    between = _in_the_sentence(words, frontend) or _alone(texts, words.phones, frontend)
    parts = [Part(texts[0], tuple(between[0]))]
    for phones, text, tokens in zip(words.phones, texts[1:], between[1:], strict=True):
        parts += [Part(phones.text, phones.tokens, phones.is_word, is_stated=True), Part(text, tuple(tokens))]
    return tuple(part for part in parts if part.text or part.tokens)


def _in_the_sentence(words: Words, frontend: TextFrontend) -> list[list[str]]:
    """The symbols before, between and after the stated phones; empty if the stand-ins cannot be found again."""
    texts = words.text.split(PHONES)
    names = [_stand_in(phones) for phones in words.phones]
    if words.text.isupper():  # a frontend may read words in capitals differently in a text that has others
        names = [name.upper() for name in names]
    sentence = texts[0] + "".join(name + text for name, text in zip(names, texts[1:], strict=True))
    try:
        tokens = frontend.tokens(sentence)
        sounds = {name: frontend.tokens(name) for name in set(names)}
    except DataError:  # the letters of the stand-ins are not the voice's, or the sentence is wrong, which shows alone
        return []
    found: list[list[str]] = []
    start = 0
    for name in names:
        place = _find(tokens, sounds[name], start)
        if place < 0:
            return []
        found.append(tokens[start:place])
        start = place + len(sounds[name])
    rest = tokens[start:]
    if any(_find(rest, sounds[name], 0) >= 0 for name in set(names)):
        return []
    return [*found, rest]


def _find(tokens: list[str], wanted: list[str], start: int) -> int:
    """The first position from ``start`` at which ``wanted`` stands in ``tokens``; -1 if there is none."""
    size = len(wanted)
    return next((at for at in range(start, len(tokens) - size + 1) if tokens[at : at + size] == wanted), -1)


def _stand_in(phones: Phones) -> str:
    """A word that begins and ends with sounds of the same kind: "the" depends on the first, an ending on the last."""
    sounds = [token.lstrip("@") for token in phones.tokens if any(map(str.isalpha, token)) and token not in "ˈˌː"]
    begin = "" if sounds and sounds[0][0] in _VOWELS else "z"
    end = "t" if sounds and sounds[-1] in _VOICELESS else "s" if sounds and sounds[-1] in _SIBILANTS else ""
    return begin + _STAND_IN + end


def _alone(texts: list[str], phones: tuple[Phones, ...], frontend: TextFrontend) -> list[list[str]]:
    """The symbols of each text by itself, with a space to the stated phones where the text has one."""
    space = [" "] if " " in frontend.config.symbols else []
    found = []
    for index, text in enumerate(texts):
        words = text.strip()
        marks = _MARKS_BEFORE.match(words)
        assert marks is not None  # the pattern matches an empty text
        tokens = _marks(marks[0], frontend)
        if words[marks.end() :]:
            tokens += frontend.tokens(words[marks.end() :])
        before = space if index and text[:1].isspace() else []
        after = space if tokens and index < len(phones) and text[-1:].isspace() else []
        found.append([*before, *tokens, *after])
    return found


def _marks(text: str, frontend: TextFrontend) -> list[str]:
    """The symbols of punctuation."""
    config = frontend.config
    known = {*config.symbols} - {config.blank, config.begin, config.end}
    return [char for char in " ".join(plain_marks(text, keep=known).split()) if char in known]
