"""The protocol of continuation: the beginning of a recording is the prompt, and a model says the rest of its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from amphion_core.api import Audio
from amphion_core.errors import DataError


class TimedWord(Protocol):
    """A word and when it ends, in seconds, as recognisers that align a text give them."""

    @property
    def word(self) -> str:
        """The word."""

    @property
    def end(self) -> float:
        """Seconds from the beginning of the recording."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """The beginning of a recording with its text, and the text that follows."""

    prompt: Audio
    prompt_text: str
    text: str


def continuation(recording: Audio, words: Sequence[TimedWord], seconds: float = 3.0) -> Continuation:
    """Cut a recording at the first end of a word after ``seconds``. ``words`` are all its words in their order.

    Source: Wang et al., "VALL-E", arXiv:2301.02111, section 5.2, where the first 3 seconds are the prompt. Here no word
    is cut. Raises DataError for a recording in which no word follows.
    """
    count = next((number for number, word in enumerate(words, 1) if word.end >= seconds), len(words))
    if count >= len(words):
        raise DataError(
            f"no word follows the first {seconds:g} seconds of the recording", hint="take recordings of 4 to 20 seconds"
        )
    said, rest = (" ".join(each.word for each in part) for part in (words[:count], words[count:]))
    end = round(words[count - 1].end * recording.sample_rate)
    return Continuation(Audio(recording.samples[..., :end], recording.sample_rate), said, rest)
