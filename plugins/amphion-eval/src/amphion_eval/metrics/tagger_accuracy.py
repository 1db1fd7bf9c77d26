"""Tagger accuracy: whether a classifier of sounds hears in a generated sound the class that its caption names.

The classifier is an audio embedding with the 527 classes of AudioSet (Gemmeke et al., 2017), such as EfficientAT or
PANNs. The caption must have a word of exactly one of the listed classes. The sound counts as correct if, among these
classes alone, that one has the largest mean logit; a class of several AudioSet classes has the largest of theirs.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import Field

from amphion_core.api import Audio, EmbeddingPart, Score
from amphion_core.errors import DataError, shortened
from amphion_eval.metrics.distribution import EmbeddingMetric


class SoundClass(NamedTuple):
    """Beginnings of words by which captions name a class, and the indices of its classes in AudioSet."""

    words: tuple[str, ...]
    indices: tuple[int, ...]


ESC10: Mapping[str, SoundClass] = {
    "dog": SoundClass(("dog", "bark"), (74, 75)),
    "rooster": SoundClass(("rooster", "cock"), (99, 101)),
    "rain": SoundClass(("rain",), (289, 290, 291)),
    "sea waves": SoundClass(("sea", "wave", "surf"), (295,)),
    "crackling fire": SoundClass(("crackl", "fire"), (298, 299)),
    "crying baby": SoundClass(("baby", "infant"), (23,)),
    "sneezing": SoundClass(("sneez",), (49,)),
    "clock tick": SoundClass(("clock", "tick"), (406, 407, 408)),
    "helicopter": SoundClass(("helicopter",), (339,)),
    "chainsaw": SoundClass(("chainsaw",), (347,)),
}
"""The classes of ESC-10 (Piczak, 2015)."""
SETS: Mapping[str, Mapping[str, SoundClass]] = {"esc10": ESC10}


class TaggerAccuracy(EmbeddingMetric):
    """Percentage of sounds in which a tagger hears the class that the caption names; ten classes by default."""

    class Config(EmbeddingMetric.Config):
        """The tagger and the classes."""

        embedding: EmbeddingPart = Field(
            default="efficientat",
            validate_default=True,
            description="embedding with AudioSet's classes: efficientat, ...",
        )
        classes: str = Field(default="esc10", pattern="^esc10$", description="the set of classes: esc10")

    config: Config
    unit = "%"
    higher_is_better = True
    needs = frozenset({"text"})
    library = ""

    @property
    def variant(self) -> str:
        """The tagger and the set of classes."""
        return f"{super().variant}, {self.config.classes}"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """100 or 0, with the class that was heard as a note. Raises DataError for silence and for another caption."""
        wanted = self.class_of(text or "")
        logits = self.logits(generated)
        known = SETS[self.config.classes]
        levels = {name: max(float(logits[index]) for index in each.indices) for name, each in known.items()}
        heard = max(levels, key=lambda name: levels[name])
        return Score(100.0 * (heard == wanted), notes={"wanted": wanted, "heard": heard})

    def class_of(self, caption: str) -> str:
        """The class that a caption names. Raises DataError for none and for several."""
        words = re.findall(r"\w+", caption.lower())
        known = SETS[self.config.classes]
        named = [name for name, each in known.items() if any(word.startswith(each.words) for word in words)]
        if len(named) != 1:
            what = f"names {' and '.join(named)}" if named else "names none of the classes"
            raise DataError(f"the caption {shortened(caption, 60)!r} {what}", hint=f"the classes: {', '.join(known)}")
        return named[0]
