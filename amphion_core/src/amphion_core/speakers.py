"""Speakers have names. A model's config holds them as a table, and a speaker's number is its index in that table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from amphion_core.errors import DataError, nearest

if TYPE_CHECKING:
    from amphion_core.data.facts import CorpusFacts

SHOWN = 12  # names listed in an error when none is similar


def number_names(count: int) -> tuple[str, ...]:
    """The names ``"0"`` to ``count - 1`` of speakers that a published checkpoint only counts; none for one speaker."""
    return tuple(map(str, range(count))) if count > 1 else ()


def speaker_index(name: str, speakers: Sequence[str], *, model: str = "the model") -> int:
    """The index of ``name`` in the table ``speakers``; ``model`` is named in the error.

    Raises DataError with the nearest name, or with the names there are.
    """
    if name in speakers:
        return speakers.index(name)
    close = nearest(name, speakers)
    listed = ", ".join(speakers[:SHOWN]) + (f" and {len(speakers) - SHOWN} more" if len(speakers) > SHOWN else "")
    raise DataError(
        f"{model} has no speaker {name!r}", hint=f"did you mean {close}?" if close else f"its speakers: {listed}"
    )


def speaker_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Raw config values with ``n_speakers`` and ``speakers`` completed, each from the other.

    Names that are only numbers follow the count. A field that nothing is known of is not added, so that it does not
    count as stated. For a ``model_validator(mode="before")``; ``check_speakers`` then finds a table that contradicts
    the count.
    """
    names, count = tuple(values.get("speakers") or ()), values.get("n_speakers")
    completed = dict(values)
    if count is None and (names or "n_speakers" in values):
        completed["n_speakers"] = max(1, len(names))
    if isinstance(count, int) and count > 0 and names == number_names(len(names)):
        names = number_names(count)
    if names or "speakers" in values:
        completed["speakers"] = names
    return completed


def check_speakers(speakers: Sequence[str], count: int) -> None:
    """Raise ValueError unless there is one name for each of ``count`` speakers, all different and none empty."""
    if len(speakers) != count and (speakers or count > 1):
        raise ValueError(f"n_speakers: {count} is stated, and speakers has {len(speakers)} names")
    if len({*speakers, ""}) != len(speakers) + 1:
        raise ValueError("speakers: every name must be there once, and none may be empty")


def speakers_for(stated: Sequence[str], facts: "CorpusFacts") -> tuple[str, ...]:
    """The speaker table of a model that is trained on a corpus: the stated one, or the corpus's own.

    Names that are only numbers are replaced when there are as many as the corpus has speakers.
    Raises DataError when the corpus has a speaker that the stated table lacks.
    """
    found = facts.speakers
    missing = [name for name in found if name not in stated]
    if not missing:
        return tuple(stated)
    only_numbers = tuple(stated) == number_names(len(stated))
    if not stated or (only_numbers and len(stated) == len(found)):
        return tuple(found)
    remedy = f"model.n_speakers={len(found)}" if only_numbers else "leave speakers and n_speakers out of the config"
    raise DataError(
        f"the config states {len(stated)} speakers without {missing[0]!r}; the corpus has {len(found)} speakers",
        hint=f"{remedy}, and the speakers of the corpus are used",
    )
