"""Which items of a split a trainer can use: the others are left out with their reasons before the first step."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from amphion_core.component import Utterance
from amphion_core.data.manifest import Manifest
from amphion_core.errors import AmphionError, DataError, counted

Unusable = Callable[[Utterance], str | None]
"""Why an item cannot be used, or None. Raises AmphionError for an item that the user must correct."""

SHOWN = 5  # items listed for each reason
NO_TEXT = "no text"
"""The reason of trainers that need a text; a split of such items alone gets a hint that says where texts come from."""


def usable_rows(
    manifest: Manifest, rows: np.ndarray[Any, Any], unusable: Unusable, reasons: dict[str, list[str]]
) -> np.ndarray[Any, Any]:
    """Those of ``rows`` that can be used. The ids of the others are added to ``reasons``, under their reason.

    Raises DataError that lists all items for which ``unusable`` raises an error.
    """
    kept: list[int] = []
    errors: list[AmphionError] = []
    for row in rows.tolist():
        utterance = manifest[row].utterance
        try:
            reason = unusable(utterance)
        except AmphionError as error:
            errors.append(error)
            continue
        if reason is None:
            kept.append(row)
        else:
            reasons.setdefault(reason, []).append(utterance.id)
    if errors:
        shown = [error.message for error in errors[:SHOWN]]
        if len(errors) == 1:
            raise errors[0]
        more = [f"and {len(errors) - SHOWN} more"] if len(errors) > SHOWN else []
        title = f"{counted(len(errors), 'item')} of {manifest.path} cannot be used"
        raise DataError("\n  ".join([f"{title}:", *shown, *more]), hint=errors[0].hint)
    return np.array(kept, dtype=rows.dtype)


def hint_for(reasons: Mapping[str, Sequence[str]], manifest: Manifest) -> str:
    """What to do when no item of a split can be used."""
    if {*reasons} != {NO_TEXT}:
        return "see what amphion prepare reports"
    root = os.path.normpath(manifest.root)
    return (
        f"write metadata.csv in {root}, with a line such as a1|Hello there. for each a1.wav, or a1.txt beside it; then"
        f" amphion prepare folder {root} {manifest.folder}   (of a published corpus, its own reader reads the"
        " texts: ljspeech, libritts, vctk, ...)"
    )


def left_out_lines(split: str, reasons: Mapping[str, Sequence[str]]) -> list[str]:
    """What a run says of the items that it leaves out, one line for each reason.

    >>> left_out_lines("train", {"no text": ["a", "b"]})
    ["2 items of the split 'train' are left out, with no text: a, b"]
    """
    lines = []
    for reason, ids in reasons.items():
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        verb = "are" if len(ids) > 1 else "is"
        what = f"{counted(len(ids), 'item')} of the split {split!r} {verb} left out, with {reason}"
        lines.append(f"{what}: {', '.join(ids[:SHOWN])}{more}")
    return lines
