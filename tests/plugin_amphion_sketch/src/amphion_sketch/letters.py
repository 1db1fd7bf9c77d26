"""SketchLetters: small letters and spaces; the symbol table comes from the corpus."""

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError


class SketchLetters(TextFrontend):
    """Text -> letters and spaces, with an end symbol."""

    class Config(FrontendConfig):
        """The end symbol; the table is empty until a corpus fills it."""

        end: str | None = Field(default="~", description="symbol after the text")

    config: Config

    @classmethod
    def example_config(cls) -> Config:
        """The Latin letters."""
        return cls.Config(symbols=("~", " ", *"abcdefghijklmnopqrstuvwxyz"))

    def tokens(self, text: str) -> list[str]:
        """The letters and spaces of a text. Raises DataError when there are none."""
        found = [char for char in " ".join(text.lower().split()) if char.isalpha() or char == " "]
        if not any(char.isalpha() for char in found):
            raise DataError("there is nothing to say", hint="give a text with letters")
        return found
