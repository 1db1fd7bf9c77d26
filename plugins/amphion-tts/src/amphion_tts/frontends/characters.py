"""Characters as they are written: for models of one script that learn pronunciation themselves (MMS, Coqui).

Emoji and control characters are dropped; a letter that the table lacks is an error, because leaving it out would say
another word.
"""

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
        """The characters. Punctuation that the table lacks is left out. Raises DataError for an empty text."""
        text = plain_marks(clean(text)).replace("\n", " ")
        if self.config.lower_case:
            text = text.lower()
        known = frozenset(self.config.symbols)
        found = [char for char in text if char in known or char.isalnum()]
        if not any(char.isalnum() for char in found):
            raise DataError(f"there is nothing to say in {text[:40]!r}", hint="give a text with letters")
        return found
