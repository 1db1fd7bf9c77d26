"""CER: character error rate of the recognised speech, compared with the text that should be spoken.

Like WER, but over characters. Spaces are left out: "foot ball" equals "football", and languages with and without spaces
have the same definition. Other programs count a space as a character (jiwer.cer does): ``spaces=true`` is their
definition. The field ``normalization`` is that of ``wer``; with ``none`` and ``spaces=true`` the value is that of
jiwer.cer.
"""

from pydantic import Field

from amphion_eval.analysis.readings import as_characters
from amphion_eval.analysis.word_alignment import Edits, Lattice, align
from amphion_eval.metrics.wer import WER, WERReference, counted_edits


class CER(WER):
    """Character error rate in percent, without spaces; 0 is perfect."""

    class Config(WER.Config):
        """The recogniser, the language, the normalisation, and whether spaces count."""

        spaces: bool = Field(default=False, description="count spaces as characters, as jiwer.cer does")

    config: Config

    @property
    def variant(self) -> str:
        """That of WER, and whether spaces count."""
        return super().variant + (", with spaces" if self.config.spaces else ", without spaces")

    def edits(self, text: str, heard: str, *, heard_both: bool = False) -> Edits:
        """The counts of edits of characters, in any language."""
        spaces, text, heard = self.config.spaces, self.normalized(text), self.normalized(heard)
        if self.config.normalization != "readings":
            return counted_edits(*(list(each if spaces else "".join(each.split())) for each in (text, heard)))
        lattices = [
            Lattice.from_spans(as_characters(self.spans(each, is_heard), spaces=spaces), joins=False)
            for each, is_heard in ((text, heard_both), (heard, True))
        ]
        found = align(*lattices)
        return Edits(found.hits - 1, found.substitutions, found.deletions, found.insertions) if spaces else found


class CERReference(CER, WERReference):
    """Character error rate compared with the recognised speech of the reference recording, in percent."""

    Config = CER.Config
    config: CER.Config
    needs = frozenset({"reference"})
