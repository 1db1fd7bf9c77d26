"""What a training says of a corpus that is too small for a new voice."""

from amphion_core.data.report import duration_text

LEAST = 600.0  # seconds; with less, the alignment of texts and recordings is rarely learned


def corpus_remarks(seconds: float, *, fine_tuning: bool) -> list[str]:
    """A remark for a new voice with fewer than ``LEAST`` seconds of recordings; empty otherwise.

    >>> corpus_remarks(45 * 60, fine_tuning=False) + corpus_remarks(60, fine_tuning=True)
    []
    """
    if fine_tuning or seconds >= LEAST:
        return []
    return [
        f"there are {duration_text(seconds / 3600)} of speech to learn from, and fewer than about {LEAST / 60:.0f}"
        " minutes rarely give an intelligible voice. Record more (45 minutes are good), or fine-tune a trained voice,"
        ' for which some minutes are enough: amphion train vits_from_joe (pip install "amphion-tts[voice]")'
    ]
