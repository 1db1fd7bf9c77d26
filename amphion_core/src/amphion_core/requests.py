"""Types for the fields of a task's ``Request`` that are neither numbers nor texts: recordings and controls."""

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

ControlValues = dict[str, Any]
"""Annotation of a request's field ``controls``: values by name, which the chosen model checks."""
