"""WER: word error rate of the recognised speech, compared with the text that should be spoken.

(substitutions + deletions + insertions) / words. The value of a corpus divides the sums over all files; it is not the
mean of the files' rates. Both texts are normalised in the same way: NFKC, lower case, no punctuation, numbers written
as words (in English; in other languages if num2words is installed). ``wer_reference`` compares with the recognised
speech of the reference recording instead of a text.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, RecognizerPart, Score, SpeechRecognizer
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, mono, required
from amphion_eval.analysis.text_normalization import UNSPACED, has_numbers, normalized


class WER(Metric):
    """Word error rate in percent; 0 is perfect, more than 100 is possible."""

    class Config(BaseConfig):
        """The recogniser and the language."""

        recognizer: RecognizerPart = Field(
            default="faster_whisper", validate_default=True, description="faster_whisper, whisper, hubert_ctc, ..."
        )
        language: str = Field(default="en", description="language code of text and speech")

    config: Config
    unit = "%"
    higher_is_better = False
    needs = frozenset({"text"})
    library = "jiwer 4"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.recognizer: SpeechRecognizer = _built(config.recognizer)
        self.sample_rate = self.recognizer.sample_rate

    @property
    def variant(self) -> str:
        """The recogniser; for other languages than English also the code, and a note if numbers keep their digits."""
        code = self.config.language
        language = [] if code == "en" else [code, *([] if has_numbers() else ["digits kept"])]
        return ", ".join([self.recognizer.variant or self.config.recognizer.name, *language])

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """``notes["heard"]`` is the transcript. Raises DataError for a text without words, and for NaN samples."""
        expected = self.units(text or "")
        if not expected:
            raise DataError("there is no text to compare with")
        heard = self.heard(generated, what="generated")
        score = self.compare(expected, self.units(heard))
        return Score(score.value, score.details, notes={"heard": heard})

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

    def compare(self, expected: str, heard: str) -> Score:
        """The error rate of two texts that ``units`` has prepared."""
        import jiwer

        found = jiwer.process_words(expected, heard)
        edits = found.substitutions + found.deletions + found.insertions
        count = found.hits + found.substitutions + found.deletions
        details = {
            "edits": edits, "count": count, "substitutions": found.substitutions, "deletions": found.deletions,
            "insertions": found.insertions,
        }  # fmt: skip
        return Score(100 * edits / count, {key: float(value) for key, value in details.items()})

    def combine(self, sums: Mapping[str, Array], count: Array) -> Array:
        """All edits of a corpus divided by all words, in percent."""
        return 100 * sums["edits"] / sums["count"]

    def units(self, text: str) -> str:
        """The normalised text, words separated by spaces. Raises DataError for languages written without spaces."""
        if self.config.language.split("-")[0] in UNSPACED:
            raise DataError(f"{self.config.language} is written without spaces", hint="--metrics cer counts characters")
        return normalized(text, self.config.language)


class WERReference(WER):
    """Word error rate compared with the recognised speech of the reference recording, in percent."""

    needs = frozenset({"reference"})

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError if no word is recognised in the reference."""
        spoken = self.heard(required(reference), what="reference")
        if not self.units(spoken):
            raise DataError("no word is recognised in the reference audio")
        return super().measure(generated, text=spoken)


@lru_cache(maxsize=4)
def _built(part: RecognizerPart) -> Any:
    return part.build()


@lru_cache(maxsize=8)
def _transcript(recognizer: SpeechRecognizer, audio: Audio, language: str) -> str:
    """The transcript of one audio. The last results are kept, so WER and CER need one recognition."""
    return recognizer.transcribe(audio, language)
