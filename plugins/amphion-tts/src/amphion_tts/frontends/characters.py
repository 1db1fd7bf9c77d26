"""Characters as they are written, for models that learn the pronunciation of one script themselves (MMS, Coqui).

Emoji and control characters are dropped. A letter that the table lacks is an error, because without it another word
would be spoken. With an empty table (``symbols: []``), training collects the characters of the corpus.
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
        """The default table is Latin letters and punctuation."""

        symbols: tuple[str, ...] = Field(
            default=LATIN, description="every character the model knows; the id is the position"
        )
        blank: str | None = Field(default="_", description="symbol put between all others; null: none")
        lower_case: bool = Field(default=True, description="lower the case first")

    config: Config

    def tokens(self, text: str) -> list[str]:
        """The characters of ``text``. Punctuation that the table lacks is dropped; an empty table keeps all of it.

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
    """Whether a character is a space, punctuation, or a mark that combines with a letter."""
    return char == " " or unicodedata.category(char)[0] in "PM"
