"""CER: character error rate of what a recogniser hears, against the text that should have been said.

As WER, over characters without spaces; the measure for languages written without them.
"""

from amphion_eval.wer import WER


class CER(WER):
    """Percent of one item or, summed, of a corpus; 0 is perfect."""

    def units(self, text: str) -> str:
        """Each character as a word of its own, so that WER's sums count characters."""
        return " ".join(super().units(text).replace(" ", ""))
