"""What the task ``tts`` can be given; the command line is generated from it. Imports no torch."""

from typing import Annotated

from pydantic import Field

from amphion_core.config import BaseConfig
from amphion_core.requests import ControlValues
from amphion_tts.lexicon import LexiconInput
from amphion_tts.voices import PromptInput


class TTSRequest(BaseConfig):
    """A text to speak, and how."""

    text: str = Field(
        description="the text to speak, of any length; [pause 0.5] is silence in seconds, and /HH AH0 L OW1/ are phones"
    )
    speaker: Annotated[str, Field(coerce_numbers_to_str=True)] | None = Field(
        default=None, description="name of the speaker, for models with several"
    )
    pause: float = Field(default=0.2, ge=0, le=10, description="silence between sentences, seconds")
    paragraph_pause: float = Field(
        default=0.6, ge=0, le=10, description="silence between paragraphs, which blank lines separate, seconds"
    )
    lexicon: LexiconInput | None = Field(
        default=None, description="file with a word and its phones in each line, for words that the voice says wrongly"
    )
    phonemes: bool = Field(default=False, description="the text is phones of the voice, not words")
    markup: bool = Field(
        default=True,
        description="read [pause 0.5] in the text as silence, and what is between two slashes as phones if each symbol "
        "is a phone of the voice; \\[ and \\/ are the characters themselves",
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same audio")
    controls: ControlValues = Field(
        default_factory=dict, description="a control of the model; amphion info MODEL lists them with their ranges"
    )
    prompt: PromptInput | None = Field(
        default=None,
        description="the voice to imitate, for models that take one: a recording of 3 to 10 seconds, or the name of a "
        "stored voice (amphion voice list)",
    )
    prompt_text: str | None = Field(
        default=None, description="what is said in the prompt; without it a recogniser finds it out"
    )
