"""The symbols of the published FastSpeech 2 checkpoints: ARPAbet for English, where a pause replaces punctuation.

The order of the table is that of the checkpoints (ming024, Amphion): padding, hyphen, punctuation, letters, ARPAbet, in
ming024's checkpoints also the initials and finals of Mandarin, and silences. There are no spaces between words. The
frontend ``cmudict`` pronounces the words.
"""

from pydantic import Field

from amphion_tts.frontends.cmudict import ARPABET, CONSONANTS, VOWELS, CMUDict

PAUSE = "@sp"
_SILENCES = (PAUSE, "@spn", "@sil")
_SOUNDS = sorted([*(vowel + stress for vowel in VOWELS for stress in ("", "0", "1", "2")), *CONSONANTS])
_INITIALS = ("b", "c", "ch", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "q", "r", "s", "sh", "t", *"wxyz", "zh")
_FINALS = (
    "a", "ai", "an", "ang", "ao", "e", "ei", "en", "eng", "er", "i", "ia", "ian", "iang", "iao", "ie", "ii", "iii",
    "in", "ing", "iong", "iou", "o", "ong", "ou", "u", "ua", "uai", "uan", "uang", "uei", "uen", "uo", "v", "van", "ve",
    "vn",
)  # fmt: skip
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_COMMON = ("_", "-", *"!'(),.:;? ", *_LETTERS, *(f"@{sound}" for sound in _SOUNDS))
_MANDARIN = [*_INITIALS, *(final + tone for final in _FINALS for tone in "12345"), "rr"]

AMPHION: tuple[str, ...] = (*_COMMON, *_SILENCES)
MING024: tuple[str, ...] = (*_COMMON, *(f"@{sound}" for sound in _MANDARIN), *_SILENCES)


class AmphionSymbols(CMUDict):
    """English text -> ARPAbet symbols with ``@`` before each, and ``@sp`` for punctuation between words."""

    class Config(CMUDict.Config):
        """The symbol table, by default Amphion's with 151 symbols. Nothing is inserted between symbols."""

        symbols: tuple[str, ...] = Field(
            default=AMPHION, description="all symbols that the model knows; the position of a symbol is its id"
        )
        blank: str | None = Field(default=None, description="symbol inserted between all others; null: none")

    config: Config

    def tokens(self, text: str) -> list[str]:
        """ARPAbet symbols and pauses, without a pause at the ends. Raises what ``cmudict`` raises."""
        return _marked(super().tokens(text))

    def phones(self, text: str) -> list[str]:
        """ARPAbet symbols without ``@``, as in the notation of ``cmudict``: ``HH AH0 L OW1 | W ER1 L D``."""
        return _marked(CMUDict(CMUDict.Config(symbols=ARPABET)).phones(text))


def _marked(symbols: list[str]) -> list[str]:
    """ARPAbet symbols with ``@``; spaces are left out, and other marks become one pause between two words."""
    found: list[str] = []
    for symbol in symbols:
        if symbol[0].isalpha():
            found.append(f"@{symbol}")
        elif symbol not in (" ", "'") and found and found[-1] != PAUSE:
            found.append(PAUSE)
    return found[:-1] if found and found[-1] == PAUSE else found
