"""CER: character error rate of the recognised speech, compared with the text that should be spoken.

Like WER, but over characters without spaces; suitable for languages that are written without spaces.
"""

from amphion_eval.analysis.text_normalization import normalized
from amphion_eval.metrics.wer import WER, WERReference


class CER(WER):
    """Character error rate in percent; 0 is perfect."""

    def units(self, text: str) -> str:
        """The characters with spaces between them: WER then counts each character as a word."""
        return " ".join(normalized(text, self.config.language).replace(" ", ""))


class CERReference(WERReference):
    """Character error rate compared with the recognised speech of the reference recording, in percent."""

    units = CER.units
