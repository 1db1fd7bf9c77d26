"""Reads simple English captions of events: "a dog barks twice, then a cat meows at 4 s for 2 seconds".

What a phrase leaves open is filled in by rules: an occurrence lasts one second, or less where there is no room;
occurrences without a time are spread evenly over the sound; after "then" an event begins where the one before ended.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from amphion_core.errors import DataError, counted, shortened
from amphion_tta.timed_events import EXAMPLE, NUMBER, Span, TimedEvent, find_name

USUAL = 1.0  # seconds of an occurrence whose duration is not stated
SHORTEST = 0.2  # seconds; with less room for each occurrence a caption is refused
FILLED = 0.8  # largest share of its room that an occurrence without a time fills
PAUSE = 0.5  # seconds between occurrences of which only the first has a time
MOST = 50  # occurrences of one event

_NUMBERS = {
    word: number
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_UNITS = "s|sec|secs|second|seconds"
_TOKENS = re.compile(
    rf"(?P<known>\x00\d+\x00)"
    rf"|(?P<span>(?:from\s+)?(?P<start>{NUMBER})\s*(?:(?:{_UNITS})\b)?\s*(?:-|–|to\b|until\b|till\b)\s*"
    rf"(?P<end>{NUMBER})\s*(?:(?:{_UNITS})\b)?)"
    rf"|(?P<count>(?P<many>\d+|{'|'.join(_NUMBERS)})\s+times?\b|once\b|twice\b|thrice\b)"
    rf"|(?P<length>for\s+(?P<seconds>{NUMBER}|{'|'.join(_NUMBERS)})\s*(?:(?:{_UNITS})\b)?)"
    rf"|(?P<time>(?P<at>{NUMBER})\s*(?:(?:{_UNITS})\b)?)"
    rf"|(?P<then>(?:and\s+)?then\b|followed\s+by\b|after\s+that\b)"
    rf"|(?P<apart>and\b|while\b|with\b|[,;.&])"
    rf"|(?P<at_word>at\b|@|from\b|:)"
    rf"|(?P<word>[^\s,;.&@:]+)"
)
_KINDS = ("known", "span", "count", "length", "time", "then", "apart", "at_word", "word")  # groups of a whole token


@dataclass(frozen=True, slots=True)
class _Clause:
    """One event as the text states it. ``follows``: a "then" stands before it."""

    words: tuple[str, ...] = ()
    follows: bool = False
    count: int | None = None
    seconds: float | None = None
    starts: tuple[float, ...] = ()
    spans: tuple[Span, ...] = field(default=())

    @property
    def timed(self) -> bool:
        return bool(self.starts or self.spans)


def read_phrases(text: str, names: Sequence[str] | None, *, duration: float) -> list[TimedEvent]:
    """The events of an English caption for a sound of ``duration`` seconds; ``names`` are those that the model knows.

    Without ``names`` an event is called by the words of the caption.
    Raises DataError for an event that is not among the names, a text without events, and too many occurrences.
    """
    clauses = _clauses(text, names or ())
    if not clauses:
        raise DataError(f"the caption {shortened(text, 80)!r} names no event", hint=f"write {EXAMPLE}")
    said = [" ".join(clause.words) for clause in clauses]
    named = said if names is None else [find_name(words, names) for words in said]
    for name, clause in zip(named, clauses, strict=True):
        if max(clause.count or 1, len(clause.starts)) > MOST:
            raise DataError(f"{name}: more than {MOST} times is too often", hint=f"choose at most {MOST}")
        if clause.count == 0 or clause.seconds == 0:
            raise DataError(
                f"{name}: {'0 times' if clause.count == 0 else '0 seconds'} is no sound", hint="leave it out"
            )
        if clause.count and clause.spans and clause.count != len(clause.spans):
            raise DataError(
                f"{name}: {clause.count} times, and {len(clause.spans)} spans are stated", hint="leave one of them out"
            )
    spans = [_timed_spans(clause) for clause in clauses]
    for first, last in _open_runs(clauses):
        begin = spans[first - 1][-1][1] if first and clauses[first].follows else 0.0
        bounded = last < len(clauses) and clauses[last].follows and spans[last]
        end = spans[last][0][0] if bounded else duration
        for index, found in enumerate(_spread(clauses[first:last], begin, end), first):
            spans[index] = found
    return [TimedEvent(name, tuple(found)) for name, found in zip(named, spans, strict=True)]


def _clauses(text: str, names: Sequence[str]) -> list[_Clause]:
    """The clauses of a text. A clause ends where words follow a separator, or follow a time."""
    found: list[_Clause] = []
    now, apart, then = _Clause(), False, False
    for token in _TOKENS.finditer(_with_names_marked(text, names)):
        kind = next(name for name in _KINDS if token[name] is not None)
        if kind == "word" and any(char.isdigit() for char in token[0]):
            raise DataError(
                f"the caption {shortened(text, 80)!r} cannot be read: {shortened(token[0], 40)!r} is not a time",
                hint=f"write {EXAMPLE}",
            )
        if kind in ("known", "word"):
            if now.words and (apart or then or now.timed):
                found.append(now)
                now = _Clause(follows=then)
            elif not now.words:
                now = replace(now, follows=now.follows or then)
            word = names[int(token[0][1:-1])] if kind == "known" else token[0]
            now, apart, then = replace(now, words=(*now.words, word)), False, False
        elif kind == "then":
            then = True
        elif kind == "apart":
            apart = True
        elif kind != "at_word":
            now, apart = _with_time(now, token, kind), False
    return [clause for clause in (*found, now) if clause.words]


def _with_names_marked(text: str, names: Sequence[str]) -> str:
    """The text with each name of an event as one token, so that a name may contain "and" or a number."""
    marked = " ".join(text.casefold().replace("\0", " ").split())
    for index in sorted(range(len(names)), key=lambda index: -len(names[index])):
        for form in {names[index].casefold(), names[index].casefold().replace("_", " ")}:
            marked = re.sub(rf"(?<![\w\0]){re.escape(form)}(?![\w\0])", f"\0{index}\0", marked)
    return marked


def _with_time(clause: _Clause, token: re.Match[str], kind: str) -> _Clause:
    """The clause with what a span, a count, a duration or a time states."""
    if kind == "span":
        return replace(clause, spans=(*clause.spans, (float(token["start"]), float(token["end"]))))
    if kind == "count":
        said, many = token["count"], token["many"]
        return replace(clause, count=_TIMES[said] if many is None else int(_NUMBERS.get(many, many)))
    if kind == "length":
        seconds = token["seconds"]
        return replace(clause, seconds=float(_NUMBERS.get(seconds, seconds)))
    return replace(clause, starts=(*clause.starts, float(token["at"])))


def _timed_spans(clause: _Clause) -> list[Span]:
    """The spans of a clause that states times; empty without any."""
    length = clause.seconds or USUAL
    starts = list(clause.starts)
    if len(starts) == 1 and (clause.count or 1) > 1:
        starts = [starts[0] + index * (length + PAUSE) for index in range(clause.count or 1)]
    return [*clause.spans, *((start, start + length) for start in starts)]


def _open_runs(clauses: Sequence[_Clause]) -> list[tuple[int, int]]:
    """(first, last + 1) of clauses without times that share one stretch of time because "then" joins them."""
    runs: list[tuple[int, int]] = []
    for index, clause in enumerate(clauses):
        if clause.timed:
            continue
        if runs and runs[-1][1] == index and clause.follows:
            runs[-1] = runs[-1][0], index + 1
        else:
            runs.append((index, index + 1))
    return runs


def _spread(clauses: Sequence[_Clause], begin: float, end: float) -> list[list[Span]]:
    """Spans of clauses without times, one after the other, each in the middle of an equal part of begin to end."""
    counts = [clause.count or 1 for clause in clauses]
    room = (end - begin) / sum(counts)
    if room < SHORTEST:
        raise DataError(
            f"there is no room for {counted(sum(counts), 'sound')} between {begin:g} s and {end:g} s",
            hint="state their times, or choose a longer sound with --seconds",
        )
    found, place = [], begin
    for clause, count in zip(clauses, counts, strict=True):
        length = min(clause.seconds or USUAL, FILLED * room)
        starts = [place + index * room + (room - length) / 2 for index in range(count)]
        found.append([(round(start, 3), round(start + length, 3)) for start in starts])
        place += count * room
    return found
