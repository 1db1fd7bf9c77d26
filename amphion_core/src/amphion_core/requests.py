"""Types for the fields of a task's ``Request`` that are neither numbers nor texts: recordings, files and controls."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from amphion_core.audio import Audio


def _read(value: Any) -> Audio:
    if isinstance(value, Audio):
        return value
    if isinstance(value, str | Path):
        return Audio.load(value)
    raise ValueError("a recording is the path of an audio file, or an Audio")


AudioInput = Annotated[Audio, PlainValidator(_read), WithJsonSchema({"type": "string", "format": "audio-file"})]
"""Annotation of a request's field that holds a recording: accepts the path of an audio file, or an ``Audio``.

Reading a file raises AudioError. A server must turn what a client sends into an ``Audio`` first: a text from a client
would be the path of any file of the server.
"""


@dataclass(frozen=True, slots=True)
class Named:
    """Metadata of a field that holds a recording: it also takes the names that ``names`` lists, such as stored voices.

    ``what`` is one of them in words. The demo page offers the names beside the recording.
    """

    what: str
    names: Callable[[], list[str]]


class FromFile:
    """Base class of values that a request's field accepts as the path of a file; the option shows ``FILE``.

    The annotation of the field has a validator that reads the file. As with ``AudioInput``, a server must not hand the
    text of a client to it.
    """

    __slots__ = ()


ControlValues = dict[str, Any]
"""Annotation of a request's field ``controls``: values by name, which the chosen model checks."""
