"""The characters of a text, for models that learn the pronunciation of a script themselves (MMS, Coqui).

Emoji and control characters are removed. A letter that is not in the symbol table is an error, because the model would
speak another word without it. With an empty table (``symbols: []``), training collects the characters of the corpus.
"""

import unicodedata

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import clean, plain_marks

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
        """The characters of ``text``. Punctuation outside the table is removed; an empty table keeps all punctuation.

        Raises DataError for a text without letters and digits.
        """
        text = plain_marks(clean(text)).replace("\n", " ")
        if self.config.lower_case:
            text = text.lower()
        known = frozenset(self.config.symbols)
        found = [char for char in text if char.isalnum() or (char in known if known else _is_written(char))]
        if not any(char.isalnum() for char in found):
            raise DataError(f"there is nothing to say in {text[:40]!r}", hint="give a text with letters")
        return found


def _is_written(char: str) -> bool:
    """Whether a character is a space, punctuation, or a combining mark."""
    return char == " " or unicodedata.category(char)[0] in "PM"
