"""From a caption to PicoAudio's condition: the matrix of the columns in which each event sounds.

Xie et al., "PicoAudio", arXiv:2407.02869: one row for each class of events, 25 columns for each second.
Letters: K rows, N columns.
"""

from collections.abc import Callable, Sequence

import numpy as np

from amphion_core.errors import DataError, shortened
from amphion_tta.timed_events import TimedEvent, checked, find_name, is_short_notation, read_short_notation
from amphion_tta.timed_phrases import read_phrases

Translator = Callable[[str, Sequence[str], float], str]
"""Turns free text into the notation of `timed_events`. Arguments: the text, the names of the events, the seconds."""

LONGEST = 2000  # characters of a caption


def read_caption(
    text: str, names: Sequence[str] | None, *, duration: float, translate: Translator | None = None
) -> list[TimedEvent]:
    """The events of a caption, with the model's ``names``, for a sound of ``duration`` seconds.

    Without ``names`` any event may be named, and the caption is not translated.
    A caption in the short notation is read as it is. Any other text goes to ``translate`` where it is given, such as a
    language model, whose answer is read in its place; else the rules of `timed_phrases` read it.
    Raises DataError for a caption that is empty or too long, for an event that is not among the names, and for spans
    that are reversed, overlap, or do not lie within the sound.
    """
    text = text.strip()
    if not text:
        raise DataError("the caption is empty", hint="name an event and its times, such as: dog at 1-2")
    if len(text) > LONGEST:
        raise DataError(f"the caption has {len(text)} characters; at most {LONGEST} are read", hint="shorten it")
    answer = text
    if translate is not None and names is not None and not is_short_notation(text):
        answer = translate(text, names, duration)
        if not isinstance(answer, str) or not answer.strip():
            raise DataError(f"the translator found no events in {shortened(text, 80)!r}", hint="write it more simply")
    try:
        if is_short_notation(answer):
            found = read_short_notation(answer)
            events = [
                event if names is None else TimedEvent(find_name(event.name, names), event.spans) for event in found
            ]
        else:
            events = read_phrases(answer, names, duration=duration)
        return checked(events, duration=duration)
    except DataError as error:
        if answer is text:
            raise
        said = shortened(answer, 120)
        raise DataError(f"{error.message} (the translator answered {said!r})", hint=error.hint) from error


def onset_matrix(
    events: Sequence[TimedEvent], names: Sequence[str], *, rows: int, columns: int, rate: float = 25
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """(K, N): 1 where an event sounds, else 0. Row k is the event ``names[k]``, and ``rate`` columns are one second.

    A span fills the columns from int(rate * start) to int(rate * end), without the last one, and at least one column.
    What lies behind the last column is left out.
    """
    matrix = np.zeros((rows, columns), np.float32)
    for event in events:
        row = names.index(event.name)
        for start, end in event.spans:
            first, last = column(start, rate), column(end, rate)
            matrix[row, first : max(last, first + 1)] = 1
    return matrix


def column(seconds: float, rate: float) -> int:
    """The column of a time. Ten seconds are divided, as in the published model, which decides how products round.

    >>> column(1.16, 25)
    29
    """
    return int(seconds * (10 * rate) / 10)
