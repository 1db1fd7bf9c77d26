"""The speaker table of a published voice: names where the publisher states them, otherwise numbers."""

from collections.abc import Mapping
from typing import Any

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.errors import shown

KEYS = ("speaker_id_map", "spk2id", "speaker_ids", "speakers")
"""Piper, Amphion, Coqui, and Coqui or users of the authors' code. Each is a list, or a mapping from name to index."""


def speaker_names(sections: list[Values], count: int) -> tuple[str, ...]:
    """The names of ``count`` speakers by index, from the first of ``sections`` that states some.

    A speaker without a name gets its number. No names at all: none for one speaker, else the numbers.
    Raises WeightsError for an index that the checkpoint does not have, and for two names of one speaker.
    """
    found = next(((section, key) for section in sections for key in KEYS if section.get(key)), None)
    names: dict[int, str] = {}
    for name, index in _pairs(*found) if found else ():
        section, key = found  # type: ignore[misc]
        if index >= count:
            speakers = "1 speaker" if count == 1 else f"{count} speakers"
            raise section.problem(key, f"names speaker {index}, the checkpoint has {speakers}, counted from 0")
        if index in names:
            raise section.problem(key, f"gives speaker {index} two names, {shown(names[index])} and {shown(name)}")
        if not name or name in names.values():
            raise section.problem(key, f"has the name {shown(name)} twice" if name else "has an empty name")
        names[index] = name
    if not names and count == 1:
        return ()
    for index in set(range(count)) - set(names):
        number = str(index)
        names[index] = f"speaker {number}" if number in names.values() else number
    return tuple(names[index] for index in range(count))


def _pairs(section: Values, key: str) -> list[tuple[str, int]]:
    """(name, index) of every speaker that a section states."""
    stated: Any = section.get(key)
    if isinstance(stated, Mapping):
        table = section.section(key)
        return [(name, table.whole(name, least=0)) for name in table]
    if isinstance(stated, list | tuple) and all(isinstance(name, str | int) for name in stated):
        return [(str(name), index) for index, name in enumerate(stated)]
    raise section.wrong(key, "a list of names, or an index for each name")
