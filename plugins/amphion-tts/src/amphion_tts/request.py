"""What the task ``tts`` can be given; the command line is generated from it. Imports no torch."""

from typing import Annotated

from pydantic import Field

from amphion_core.config import BaseConfig
from amphion_core.requests import AudioInput, ControlValues


class TTSRequest(BaseConfig):
    """A text to speak, and how."""

    text: str = Field(description="the text to speak, of any length")
    speaker: Annotated[str, Field(coerce_numbers_to_str=True)] | None = Field(
        default=None, description="name of the speaker, for models with several"
    )
    pause: float = Field(default=0.2, ge=0, le=10, description="silence between sentences, seconds")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same audio")
    controls: ControlValues = Field(
        default_factory=dict, description="a control of the model; amphion info MODEL lists them with their ranges"
    )
    prompt: AudioInput | None = Field(
        default=None, description="recording of the voice to imitate, for models of zero-shot synthesis"
    )
    prompt_text: str | None = Field(default=None, description="what is said in the prompt, where the model needs it")
