"""WER: word error rate of what a recogniser hears, against the text that should have been said.

(S + D + I) / N over words: summed over the corpus before dividing, never a mean of rates. Both sides are normalised the
same way: English written out in words, lower case, no punctuation; other languages NFKC, case folded, no punctuation.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property

from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_core.text import clean, normalize_english
from amphion_eval.recognizer import Recognizer
from amphion_eval.signals import Array


class WER(Metric):
    """Percent of one item or, summed, of a corpus; 0 is perfect, more than 100 is possible."""

    class Config(BaseConfig):
        """Who listens, and in which language."""

        recognizer: str = Field(
            default="auto", description="auto, whisper-base, whisper-tiny.en, a model folder, or a hub name"
        )
        language: str = Field(default="en", description="language code of the text and for the recogniser")

    config: Config
    unit = "%"
    higher_is_better = False
    needs = frozenset({"text"})

    @cached_property
    def recognizer(self) -> Recognizer:
        """Loaded once, when first used."""
        return Recognizer(self.config.recognizer, language=self.config.language)

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError without words to compare with, and what the recogniser raises."""
        said = self.units(text or "")
        if not said:
            raise DataError("there is no text to compare with")
        return self.compare(said, self.units(self.recognizer.transcribe(generated)))

    def compare(self, said: str, heard: str) -> Score:
        """The rate of two texts that are ``units`` already."""
        import jiwer

        found = jiwer.process_words(said, heard)
        edits = found.substitutions + found.deletions + found.insertions
        count = found.hits + found.substitutions + found.deletions
        return Score(100 * edits / count, {"edits": float(edits), "count": float(count)})

    def combine(self, sums: Mapping[str, Array], count: Array) -> Array:
        """Edits of the corpus over its words, percent."""
        return 100 * sums["edits"] / sums["count"]

    def units(self, text: str) -> str:
        """The text as words between spaces."""
        return normalized(text, self.config.language)


def normalized(text: str, language: str) -> str:
    """Lower-case words between single spaces, without punctuation; English written out."""
    text = normalize_english(text) if language.startswith("en") else clean(text)
    text = re.sub(r"[-/]", " ", unicodedata.normalize("NFKC", text).casefold())
    kept = (char for char in text if char.isspace() or char.isalnum() or unicodedata.category(char).startswith("M"))
    return " ".join("".join(kept).split())
