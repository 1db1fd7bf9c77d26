"""What the task ``vocoder`` can be given; the command line is generated from it. Imports no torch."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from amphion_core.audio import Audio
from amphion_core.config import BaseConfig
from amphion_core.requests import ControlValues


def _source(value: Any) -> Audio | Path:
    if isinstance(value, Audio):
        return value
    if isinstance(value, str | Path):
        return Path(value)
    raise ValueError("what is vocoded is an Audio, or the path of an audio file or of a mel")


Source = Annotated[Audio | Path, PlainValidator(_source), WithJsonSchema({"type": "string", "format": "audio-file"})]
"""Annotation of a recording that may be long: an ``Audio``, or the path of a file, which is read piece by piece.

A server must turn what a client sends into an ``Audio`` first, as with `AudioInput`.
"""


class VocoderRequest(BaseConfig):
    """A recording to take apart into a mel and put together again, or a mel to vocode."""

    audio: Source = Field(
        description="the recording, whose channels are mixed to one, or a file with a mel (.npy, .safetensors)"
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same audio")
    controls: ControlValues = Field(
        default_factory=dict, description="a control of the vocoder; amphion info MODEL lists them with their ranges"
    )
