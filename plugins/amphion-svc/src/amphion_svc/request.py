"""What the task ``svc`` can be given; the command line is generated from it. Imports no torch."""

from typing import Annotated

from pydantic import Field

from amphion_core.config import BaseConfig
from amphion_core.requests import AudioInput, ControlValues


class SVCRequest(BaseConfig):
    """A recording of one voice, and the voice that it should get."""

    audio: AudioInput = Field(
        description="the song or the speech, one voice alone; several channels are mixed to one, an hour at most"
    )
    singer: Annotated[str, Field(coerce_numbers_to_str=True)] | None = Field(
        default=None, description="name of a singer that the model knows"
    )
    target: AudioInput | None = Field(
        default=None, description="recording of the singer, for models of any voice: at least a second of one voice"
    )
    key_shift: float | None = Field(
        default=None,
        ge=-36,
        le=36,
        description="semitones by which the melody is moved; by default as many as bring the median F0 of the song to "
        "that of the singer. 0 keeps the key of the accompaniment, and so do -12 and 12",
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same audio")
    controls: ControlValues = Field(
        default_factory=dict, description="a control of the model; amphion info MODEL lists them with their ranges"
    )
