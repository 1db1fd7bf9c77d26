"""Alignment score: how probable the letters of a text are at the places where forced alignment finds them.

The geometric mean, over all letters of the text, of the probability that a recogniser with CTC gives each letter in the
frames that are aligned with it. Low values mean that the text is not what is spoken. Unlike error rates it does not
depend on what the recogniser would have written; it finds wrong, missing and additional words.
"""

import math
from typing import Any

from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, RecognizerPart, Score
from amphion_core.errors import DataError, RecipeError


class AlignmentScore(Metric):
    """Mean probability of a text's letters in their aligned frames, in percent; 100 is perfect."""

    class Config(BaseConfig):
        """The recogniser that aligns."""

        recognizer: RecognizerPart = Field(
            default="hubert_ctc", validate_default=True, description="a recogniser with CTC: hubert_ctc"
        )

    config: Config
    unit = "%"
    higher_is_better = True
    needs = frozenset({"text"})
    needs_packages = ("transformers",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.recognizer: Any = config.recognizer.build()
        if not hasattr(self.recognizer, "align"):
            raise RecipeError(f"{config.recognizer.name} cannot align a text", hint="recognizer=hubert_ctc")
        self.sample_rate = self.recognizer.sample_rate

    @property
    def variant(self) -> str:
        """The recogniser."""
        return str(self.recognizer.variant)

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """``notes["heard"]`` names the least probable words. Raises DataError for a text that cannot be aligned."""
        words = self.recognizer.align(generated, text or "")
        if not words:
            raise DataError("there is no text to align")
        letters = [len(word.word) for word in words]
        total = sum(math.log(max(word.probability, 1e-30)) * size for word, size in zip(words, letters, strict=True))
        worst = sorted(words, key=lambda word: word.probability)[:3]
        shown = ", ".join(f"{word.word} {100 * word.probability:.0f} % at {word.start:.2f} s" for word in worst)
        return Score(100 * math.exp(total / sum(letters)), {"words": float(len(words))}, notes={"heard": shown})
