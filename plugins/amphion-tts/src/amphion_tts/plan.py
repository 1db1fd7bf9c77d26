"""A request that is checked: what the task ``tts`` gives to the network."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from amphion_core.api import Prompt
from amphion_tts.pieces import Piece
from amphion_tts.prompts import CheckedPrompt
from amphion_tts.request import TTSRequest


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request: the pieces of its text, and what else the network gets.

    ``heard`` is the recording of the prompt, with its text and what a user should know about it.
    """

    request: TTSRequest
    pieces: list[Piece]
    speaker: Tensor | None
    prompt: Prompt | None
    controls: Any
    heard: CheckedPrompt | None = None

    @property
    def text(self) -> str:
        """The words that are spoken, without the markup of pauses and escapes."""
        return " ".join(piece.text for piece in self.pieces if piece.parts)

    @property
    def has_phones(self) -> bool:
        """Whether the text has phones where no word says what is spoken."""
        return not all(part.is_word for piece in self.pieces for part in piece.parts)
