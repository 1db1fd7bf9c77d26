"""Subtitles as SRT and WebVTT: the words of a speech in lines of readable length, sentence by sentence."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from amphion_tts.timings import Word, joined

LINE = 42  # columns; two lines are shown at once, as the guides of broadcasters have it
_SHORTEST = 1.0  # seconds that a subtitle is shown, if the next one does not begin before
_LINGER = 0.3  # seconds that a subtitle stays after its last word
_CLAUSE = 12  # columns of difference that a cut behind a comma is worth


@dataclass(frozen=True, slots=True)
class Cue:
    """One or two lines that are shown from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(sentences: Iterable[Sequence[Word]], duration: float) -> Iterator[Cue]:
    """The subtitles of a speech of ``duration`` seconds: each sentence, cut where it needs more than two lines."""
    before: Cue | None = None
    for sentence in sentences:
        for words in _cut(list(sentence)):
            cue = Cue(words[0].start, words[-1].end, _lines(words) or (joined(word.text for word in words),))
            if before is not None:
                yield _shown_until(before, cue.start)
            before = cue
    if before is not None:
        yield _shown_until(before, duration)


def srt(cues: Iterable[Cue]) -> Iterator[str]:
    """The text of an SRT file, cue by cue."""
    for number, cue in enumerate(cues, 1):
        yield f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n" + "\n".join(cue.lines) + "\n\n"


def vtt(cues: Iterable[Cue]) -> Iterator[str]:
    """The text of a WebVTT file, cue by cue."""
    yield "WEBVTT\n\n"
    for cue in cues:
        text = "\n".join(cue.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{text}\n\n"


def _shown_until(cue: Cue, following: float) -> Cue:
    return Cue(cue.start, min(max(cue.end + _LINGER, cue.start + _SHORTEST), max(following, cue.end)), cue.lines)


def _cut(words: list[Word]) -> Iterator[list[Word]]:
    """The words in runs of two lines, cut in halves, if possible where a clause ends."""
    if not words:
        return
    if len(words) == 1 or _lines(words):
        yield words
        return
    best = min(range(1, len(words)), key=lambda cut: _badness(words, cut))
    yield from _cut(words[:best])
    yield from _cut(words[best:])


def _lines(words: Sequence[Word]) -> tuple[str, ...]:
    """The words in one or two lines; empty if they do not fit."""
    whole = joined(word.text for word in words)
    if _width(whole) <= LINE:
        return (whole,)
    fitting = [
        cut for cut in range(1, len(words)) if all(_width(line) <= LINE for line in _halves(words, cut))
    ]  # fmt: skip
    return _halves(words, min(fitting, key=lambda cut: _badness(words, cut))) if fitting else ()


def _halves(words: Sequence[Word], cut: int) -> tuple[str, str]:
    return joined(word.text for word in words[:cut]), joined(word.text for word in words[cut:])


def _badness(words: Sequence[Word], cut: int) -> int:
    first, second = map(_width, _halves(words, cut))
    return abs(first - second) - _CLAUSE * (words[cut - 1].text[-1] in ",;:.!?…—–")


def _width(text: str) -> int:
    """Columns of a text; Chinese and Japanese characters take two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text if not unicodedata.combining(char))


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
