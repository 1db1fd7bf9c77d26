"""CER: character error rate of what a recogniser hears, against the text that should have been said.

As WER, over characters without spaces; the measure for languages written without them.
"""

from amphion_eval.analysis.text_normalization import normalized
from amphion_eval.metrics.wer import WER, WERReference


class CER(WER):
    """Character error rate in percent; 0 is perfect."""

    def units(self, text: str) -> str:
        """Each character as a word of its own, so that WER's sums count characters."""
        return " ".join(normalized(text, self.config.language).replace(" ", ""))


class CERReference(WERReference):
    """Character error rate against what is heard in the reference recording, percent."""

    units = CER.units
