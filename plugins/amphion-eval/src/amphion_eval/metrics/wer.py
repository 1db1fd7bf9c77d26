"""WER: word error rate of the recognised speech, compared with the text that should be spoken.

(substitutions + deletions + insertions) / words. The value of a corpus divides the sums over all files; it is not the
mean of the files' rates. ``wer_reference`` compares with the recognised speech of the reference recording instead of a
text.

The field ``normalization`` says what counts as the same word:

* ``readings`` (the default): a form that can be said in several ways has all of them, and the alignment takes the
  nearest: 2010 equals "two thousand and ten" and "twenty ten". See `amphion_eval.analysis.english.readings`. A wrong
  reading counts: neither text passes through the frontends that prepare texts for voices.
* ``whisper``: the package whisper-normalizer (``amphion-eval[whisper-normalizer]``), which many publications use.
* ``none``: words are what stands between spaces; case and punctuation count.

With ``whisper`` and ``none`` the counts are those of the package jiwer.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, RecognizerPart, Score, SpeechRecognizer
from amphion_core.errors import DataError
from amphion_eval.analysis.readings import Span
from amphion_eval.analysis.signals import Array, mono, required
from amphion_eval.analysis.text_normalization import (
    UNSPACED,
    has_numbers,
    spans_of,
    whisper_normalized,
    whisper_version,
)
from amphion_eval.analysis.word_alignment import Edits, Lattice, align


class WER(Metric):
    """Word error rate in percent; 0 is perfect, more than 100 is possible."""

    class Config(BaseConfig):
        """The recogniser and the language."""

        recognizer: RecognizerPart = Field(
            default="faster_whisper", validate_default=True, description="faster_whisper, whisper, hubert_ctc, ..."
        )
        language: str = Field(default="en", description="language code of text and speech")
        normalization: Literal["readings", "whisper", "none"] = Field(
            default="readings",
            description="readings: each form has all its readings; whisper: as the package whisper-normalizer; or none",
        )

    config: Config
    unit = "%"
    higher_is_better = False
    needs = frozenset({"text"})
    library = "jiwer 4, where each form has one reading"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.recognizer: SpeechRecognizer = _built(config.recognizer)
        self.sample_rate = self.recognizer.sample_rate

    @property
    def variant(self) -> str:
        """The recogniser, the normalisation, and the language if it is not English."""
        code, normalization = self.config.language, self.config.normalization
        version = f" {whisper_version()}" if normalization == "whisper" else ""
        language = [] if code == "en" else [code]
        if code.partition("-")[0] != "en" and normalization == "readings" and not has_numbers():
            language.append("digits kept")
        recognizer = self.recognizer.variant or self.config.recognizer.name
        return ", ".join([recognizer, f"normalization {normalization}{version}", *language])

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """``notes["heard"]`` is the transcript. Raises DataError for a text without words, and for NaN samples."""
        self.check(text or "")
        heard = self.heard(generated, what="generated")
        score = self.compare(text or "", heard)
        return Score(score.value, score.details, notes={"heard": heard})

    def check(self, text: str) -> None:
        """Raises DataError for a text without words, and for a language written without spaces."""
        if not self.edits(text, "").count:
            raise DataError("there is no text to compare with")

    def heard(self, audio: Audio, *, what: str) -> str:
        """The transcript of one audio, at any rate; "" for silence. Raises DataError for empty and not finite audio."""
        audio = audio.mono().resample(self.recognizer.sample_rate)
        if audio.samples.any():
            mono(audio, what=what)
        elif not audio.samples.size:
            raise DataError(f"the {what} audio is empty")
        else:
            return ""  # recognisers invent words in silence
        return _transcript(self.recognizer, audio, self.config.language)

    def compare(self, text: str, heard: str, *, heard_both: bool = False) -> Score:
        """The error rate of a transcript. ``heard_both``: ``text`` is a transcript too. Raises DataError as `check`."""
        found = self.edits(text, heard, heard_both=heard_both)
        if not found.count:
            raise DataError("there is no text to compare with")
        details = {
            "edits": found.edits, "count": found.count, "substitutions": found.substitutions,
            "deletions": found.deletions, "insertions": found.insertions,
        }  # fmt: skip
        return Score(100 * found.edits / found.count, {key: float(value) for key, value in details.items()})

    def combine(self, sums: Mapping[str, Array], count: Array) -> Array:
        """All edits of a corpus divided by all words, in percent."""
        return 100 * sums["edits"] / sums["count"]

    def edits(self, text: str, heard: str, *, heard_both: bool = False) -> Edits:
        """The counts of edits of the best alignment. Raises DataError for languages written without spaces."""
        if self.config.language.partition("-")[0] in UNSPACED:
            raise DataError(f"{self.config.language} is written without spaces", hint="--metrics cer counts characters")
        text, heard = self.normalized(text), self.normalized(heard)
        if self.config.normalization != "readings":
            return counted_edits(text.split(), heard.split())
        return align(Lattice.from_spans(self.spans(text, heard_both)), Lattice.from_spans(self.spans(heard, True)))

    def spans(self, text: str, heard: bool) -> list[Span]:
        """The readings of a text or a transcript."""
        return spans_of(text, self.config.language, heard=heard)

    def normalized(self, text: str) -> str:
        """The text after the normalisation ``whisper``; otherwise unchanged, because `edits` finds the readings."""
        return whisper_normalized(text, self.config.language) if self.config.normalization == "whisper" else text


def counted_edits(expected: list[str], heard: list[str]) -> Edits:
    """The edits between two lists of words or characters, as jiwer counts them."""
    import jiwer

    if not expected:
        return Edits(0, 0, 0, len(heard))
    # jiwer splits texts at spaces, and a character may be a space: numbers stand for the words or characters
    numbers = {unit: str(number) for number, unit in enumerate(dict.fromkeys([*expected, *heard]))}
    texts = [" ".join(numbers[unit] for unit in units) for units in (expected, heard)]
    found = jiwer.process_words(texts[0], texts[1])
    return Edits(found.hits, found.substitutions, found.deletions, found.insertions)


class WERReference(WER):
    """Word error rate compared with the recognised speech of the reference recording, in percent."""

    needs = frozenset({"reference"})

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError if no word is recognised in the reference."""
        spoken = self.heard(required(reference), what="reference")
        if not self.edits(spoken, "").count:
            raise DataError("no word is recognised in the reference audio")
        heard = self.heard(generated, what="generated")
        score = self.compare(spoken, heard, heard_both=True)
        return Score(score.value, score.details, notes={"heard": heard})


@lru_cache(maxsize=4)
def _built(part: RecognizerPart) -> Any:
    return part.build()


@lru_cache(maxsize=8)
def _transcript(recognizer: SpeechRecognizer, audio: Audio, language: str) -> str:
    """The transcript of one audio. The last results are kept, so WER and CER need one recognition."""
    return recognizer.transcribe(audio, language)
