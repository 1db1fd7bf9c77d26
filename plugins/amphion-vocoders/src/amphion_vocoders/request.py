"""What the task ``vocoder`` can be given; the command line is generated from it. Imports no torch."""

from pydantic import Field

from amphion_core.config import BaseConfig
from amphion_core.requests import AudioInput, ControlValues


class VocoderRequest(BaseConfig):
    """A recording to take apart into a mel and put together again."""

    audio: AudioInput = Field(description="the recording; several channels are mixed to one")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same audio")
    controls: ControlValues = Field(
        default_factory=dict, description="a control of the vocoder; amphion info MODEL lists them with their ranges"
    )
