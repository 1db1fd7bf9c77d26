"""The characters of a text, for models that learn the pronunciation of a script themselves (MMS, Coqui).

Emoji and control characters are removed. A letter, digit or vowel sign that is not in the symbol table is an error,
because the model would speak another word without it. With an empty table (``symbols: []``), training collects the
characters of the corpus.
"""

import unicodedata
import warnings
from collections.abc import Collection

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import clean, plain_marks
from amphion_core.text.symbols import described, in_table_forms

LATIN = ("_", *" !'(),-.:;?", *"abcdefghijklmnopqrstuvwxyz")


class Characters(TextFrontend):
    """Text -> its characters, normalised by NFKC."""

    class Config(FrontendConfig):
        """The symbol table, by default Latin letters and punctuation."""

        symbols: tuple[str, ...] = Field(
            default=LATIN, description="all characters that the model knows; the position of a character is its id"
        )
        blank: str | None = Field(default="_", description="symbol inserted between all others; null: none")
        lower_case: bool = Field(default=True, description="convert the text to lower case first")

    config: Config

    def tokens(self, text: str) -> list[str]:
        """The characters of ``text``, each in the form that the table has. An empty table keeps all punctuation.

        Punctuation outside the table is removed. Accents outside the table are removed with a warning. Raises DataError
        for a text without letters and digits, and for letters and digits outside the table.
        """
        config = self.config
        known = frozenset(config.symbols) - {config.blank, config.begin, config.end}
        text = clean(text, keep=known)
        if config.lower_case:
            text = _lower(text, config.language)
        text = " ".join(plain_marks(text, keep=known).split())
        if known:
            text = _with_known_apostrophe(in_table_forms(text, known), known)
            self._check(text, known)
        found = [char for char in text if char in known or (not known and (char.isalnum() or _is_written(char)))]
        if not any(char.isalnum() for char in found):
            raise DataError(f"there is nothing to say in {text[:40]!r}", hint="give a text with letters")
        return found

    def _check(self, text: str, known: Collection[str]) -> None:
        """Raise DataError for characters of words that the table lacks, and warn of accents."""
        unknown = dict.fromkeys(char for char in text if char not in known)
        vowels = [char for char in unknown if _is_mark(char) and unicodedata.combining(char) in _PARTS_OF_LETTERS]
        if lost := [char for char in unknown if char.isalnum() or char in vowels]:
            digits = all(map(str.isdecimal, lost))
            raise DataError(
                f"the model's {len(self.config.symbols)} symbols lack {described(lost)}",
                hint="write numbers in words"
                if digits
                else f"write those words with the letters of the model, which speaks {self.config.language}",
            )
        if accents := [char for char in unknown if _is_mark(char)]:
            warnings.warn(f"accents that the model does not know are left out: {described(accents)}", stacklevel=3)


_PARTS_OF_LETTERS = (0, 7, 9)  # combining classes of vowel signs, nuktas and viramas, without which a word is another


def _lower(text: str, language: str) -> str:
    """``text`` in lower case. In Turkish and Azerbaijani, I and İ are different letters."""
    if language.partition("-")[0] in ("tr", "az"):
        text = text.replace("I", "ı")
    return text.replace("İ", "i").lower()


def _with_known_apostrophe(text: str, known: Collection[str]) -> str:
    """``text`` with the apostrophe that the table has, where it has another than ASCII's."""
    own = next((char for char in "'’ʼ" if char in known), "'")
    return text if own == "'" else text.replace("'", own)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


def _is_written(char: str) -> bool:
    """Whether a character is a space, punctuation, or a combining mark."""
    return char == " " or unicodedata.category(char)[0] in "PM"
