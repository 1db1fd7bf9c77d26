"""Events with their times, and the notation in which a caption states them.

Two written forms, both of PicoAudio (Xie et al., arXiv:2407.02869):

* ``dog__1.0-2.5_4-5--cat__6-7``: a name, ``__``, spans in seconds joined by ``_``; ``--`` between two events;
* ``dog at 1.0-2.5, 4-5 and cat at 6-7``: the same as a sentence.

Sentences with less exact times are read in `timed_phrases`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from amphion_core.errors import DataError, nearest, shortened

Span = tuple[float, float]
EXAMPLE = '"dog at 1-2.5, 4-5 and cat at 6-7", or dog__1-2.5_4-5--cat__6-7'
NUMBER = r"\d+(?:\.\d+)?|\.\d+"
LISTED = 20  # names of events that a message lists
_SPAN = re.compile(rf"\s*(-?(?:{NUMBER}))\s*-\s*(-?(?:{NUMBER}))\s*")


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """One kind of sound and its ``spans``: (start, end) of each occurrence, in seconds."""

    name: str
    spans: tuple[Span, ...]


def write(events: Sequence[TimedEvent]) -> str:
    """The short notation of events: ``dog__1-2.5_4-5--cat__6-7``.

    >>> write([TimedEvent("dog", ((1.0, 2.5), (4.0, 5.0))), TimedEvent("cat", ((6.0, 7.0),))])
    'dog__1-2.5_4-5--cat__6-7'
    """
    return "--".join(f"{event.name}__{'_'.join(map(_written, event.spans))}" for event in events)


def sentence(events: Sequence[TimedEvent]) -> str:
    """The same as a sentence: ``dog at 1-2.5, 4-5 and cat at 6-7``."""
    return " and ".join(f"{event.name} at {', '.join(map(_written, event.spans))}" for event in events)


def _written(span: Span) -> str:
    return "-".join(f"{round(time, 3):.10g}" for time in span)


def is_short_notation(text: str) -> bool:
    """Whether a caption is written as ``name__start-end``."""
    return "__" in text


def read_short_notation(text: str) -> list[TimedEvent]:
    """The events of ``name__start-end_start-end--name__start-end``, as written. Raises DataError."""
    events = []
    for part in text.strip().split("--"):
        name, separator, times = part.rpartition("__")
        if not separator or not name.strip():
            raise _unreadable(f"{shortened(part, 80)!r} is not an event with its times", text)
        spans = [_SPAN.fullmatch(piece) for piece in times.split("_")]
        if not all(spans):
            wrong = next(piece for piece, span in zip(times.split("_"), spans, strict=True) if not span)
            raise _unreadable(f"{shortened(wrong, 40)!r} is not a time such as 1.5-3", text)
        events.append(TimedEvent(name.strip(), tuple((float(span[1]), float(span[2])) for span in spans if span)))
    return events


def _unreadable(why: str, text: str) -> DataError:
    return DataError(f"the caption {shortened(text, 80)!r} cannot be read: {why}", hint=f"write {EXAMPLE}")


def checked(events: Sequence[TimedEvent], *, duration: float) -> list[TimedEvent]:
    """The events with the spans of one name together and in order of time, for a sound of ``duration`` seconds.

    Raises DataError for no event, a span that ends before it begins, that is not within the sound, or that overlaps
    another one of the same event. Different events may overlap.
    """
    together: dict[str, list[Span]] = {}
    for event in events:
        together.setdefault(event.name, []).extend(event.spans)
    if not any(together.values()):
        raise DataError("the caption names no event", hint=f"write {EXAMPLE}")
    for name, spans in together.items():
        for start, end in spans:
            shown = f"{name}: {_written((start, end))} s"
            if end <= start:
                raise DataError(f"{shown} ends before it begins", hint=f"write {name} at {_written((end, start))}")
            if start < 0 or end > duration + 1e-6:
                raise DataError(
                    f"{shown} is not within the {duration:g} s of the sound",
                    hint="choose other times, or a longer sound with --seconds",
                )
        spans.sort()
        for (start, end), other in pairwise(spans):
            if other[0] < end - 1e-6:
                raise DataError(
                    f"{name}: {_written((start, end))} s and {_written(other)} s overlap",
                    hint=f"join them: {name} at {_written((start, max(end, other[1])))}",
                )
    return [TimedEvent(name, tuple(spans)) for name, spans in together.items() if spans]


def find_name(given: str, names: Sequence[str]) -> str:
    """The one of ``names`` that ``given`` means: the same words, or words with the same stems.

    "a dog barks" means "dog", and "dog barking"; "barking" means "dog barking" where no other name has that word.
    Raises DataError that lists the names, with the nearest one.
    """
    wanted = _stems(given)
    folded = {" ".join(name.casefold().replace("_", " ").split()): name for name in names}
    if (exact := folded.get(" ".join(given.casefold().replace("_", " ").split()))) is not None:
        return exact
    scores = {name: _likeness(wanted, _stems(name)) for name in names}
    best = max(scores.values(), default=0.0)
    found = [name for name, score in scores.items() if score == best > 0]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{shortened(given, 60)!r} may mean {' or '.join(found[:LISTED])}", hint="write the name of the event"
        )
    close = nearest(given.casefold(), folded)
    known = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    hint = f"did you mean {folded[close]}? " if close else ""
    raise DataError(f"the model has no event {shortened(given, 60)!r}", hint=f"{hint}It knows {known or 'no event'}")


def _likeness(given: frozenset[str], name: frozenset[str]) -> float:
    """How well the words of a text fit those of a name; 0 unless one contains the other."""
    if not given or not name or not (name <= given or given <= name):
        return 0.0
    return len(given & name) / len(given | name)


_SMALL = frozenset(
    ("a", "an", "the", "some", "of", "is", "are", "there", "sound", "sounds", "noise",
     "hear", "we", "can", "be", "it", "s")
)  # fmt: skip
_ENDINGS = ("ing", "ed", "es", "s", "e")


def _stems(text: str) -> frozenset[str]:
    """The words without articles and endings: "a dog barks" and "dog barking" give the same."""
    return frozenset(_stem(word) for word in re.findall(r"[^\W_]+", text.casefold()) if word not in _SMALL)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word.removesuffix(ending)
            return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] else stem
    return word
