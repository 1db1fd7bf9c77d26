"""WER: word error rate of what a recogniser hears, against the text that should have been said.

(S + D + I) / N over words: summed over the corpus before dividing, never a mean of rates. Both sides are normalised the
same way: NFKC, case folded, no punctuation, numbers written out (of English; of other languages with num2words where it
is installed). ``wer_reference`` compares with what is heard in the reference recording instead of a text.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, RecognizerPart, Score, SpeechRecognizer
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, mono, there
from amphion_eval.analysis.text_normalization import UNSPACED, has_numbers, normalized


class WER(Metric):
    """Word error rate in percent; 0 is perfect, more than 100 is possible."""

    class Config(BaseConfig):
        """Who listens, and in which language."""

        recognizer: RecognizerPart = Field(
            default="faster_whisper", validate_default=True, description="faster_whisper, whisper, hubert_ctc, ..."
        )
        language: str = Field(default="en", description="language code of the text and for the recogniser")

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
        """The recogniser; a language other than English, and whether its numbers are written out."""
        code = self.config.language
        language = [] if code == "en" else [code, *([] if has_numbers() else ["digits kept"])]
        return ", ".join([self.recognizer.variant or self.config.recognizer.name, *language])

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """``notes["heard"]`` is the transcript. Raises DataError without words to compare with, or for NaN samples."""
        said = self.units(text or "")
        if not said:
            raise DataError("there is no text to compare with")
        heard = self.heard(generated, what="generated")
        score = self.compare(said, self.units(heard))
        return Score(score.value, score.details, notes={"heard": heard})

    def heard(self, audio: Audio, *, what: str) -> str:
        """The transcript of one audio, at any rate; silence is "". Raises DataError: empty, or not finite."""
        audio = audio.mono().resample(self.recognizer.sample_rate)
        if audio.samples.any():
            mono(audio, what=what)
        elif not audio.samples.size:
            raise DataError(f"the {what} audio is empty")
        else:
            return ""  # recognisers make words up for silence
        return _transcript(self.recognizer, audio, self.config.language)

    def compare(self, said: str, heard: str) -> Score:
        """The rate of two texts that are ``units`` already."""
        import jiwer

        found = jiwer.process_words(said, heard)
        edits = found.substitutions + found.deletions + found.insertions
        count = found.hits + found.substitutions + found.deletions
        details = {
            "edits": edits, "count": count, "substitutions": found.substitutions, "deletions": found.deletions,
            "insertions": found.insertions,
        }  # fmt: skip
        return Score(100 * edits / count, {key: float(value) for key, value in details.items()})

    def combine(self, sums: Mapping[str, Array], count: Array) -> Array:
        """Edits of the corpus over its words, percent."""
        return 100 * sums["edits"] / sums["count"]

    def units(self, text: str) -> str:
        """The text as words between spaces. Raises DataError for a language that is written without them."""
        if self.config.language.split("-")[0] in UNSPACED:
            raise DataError(f"{self.config.language} is written without spaces", hint="--metrics cer counts characters")
        return normalized(text, self.config.language)


class WERReference(WER):
    """Word error rate against what is heard in the reference recording, percent."""

    needs = frozenset({"reference"})

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError when nothing is heard in the reference."""
        said = self.heard(there(reference), what="reference")
        if not self.units(said):
            raise DataError("nothing is heard in the reference audio")
        return super().measure(generated, text=said)


@lru_cache(maxsize=4)
def _built(part: RecognizerPart) -> Any:
    return part.build()


@lru_cache(maxsize=8)
def _transcript(recognizer: SpeechRecognizer, audio: Audio, language: str) -> str:
    """Kept while the metrics of one item are computed: WER and CER listen once."""
    return recognizer.transcribe(audio, language)
