"""What the task ``tta`` can be given; the command line is generated from it. Imports no torch."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from amphion_core.config import BaseConfig
from amphion_core.errors import DataError, shortened
from amphion_core.requests import AudioInput, ControlValues

LONGEST = 120.0  # seconds; a model may allow less
_SPAN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*-\s*(\d+(?:\.\d*)?|\.\d+)\s*")


def _span(value: Any) -> Any:
    """``2-4`` or ``(2, 4)`` as seconds. Raises ValueError for spans that end before they begin."""
    if isinstance(value, str):
        if (found := _SPAN.fullmatch(value)) is None:
            raise ValueError(f"a span is written as its two times in seconds, such as 2-4, got {value[:40]!r}")
        value = (float(found[1]), float(found[2]))
    if isinstance(value, list | tuple) and len(value) == 2 and not value[0] < value[1]:
        raise ValueError(f"the span {value[0]:g}-{value[1]:g} does not end after it begins")
    return value


Span = Annotated[tuple[float, float], BeforeValidator(_span)]


class TTARequest(BaseConfig):
    """A caption, and how long and how its sound is made."""

    caption: str = Field(description="what is to be heard, such as: a dog barks twice")
    seconds: float = Field(
        default=5.0, gt=0, le=LONGEST, description="length of the sound; that of the recording where there is one"
    )
    negative: str = Field(default="", description="what is not to be heard, for models with guidance")
    source: AudioInput | None = Field(
        default=None, description="recording that is changed to what the caption says, where the model can do it"
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="how far the recording may be changed: near 0 it stays, 1 ignores it; by default 0.6, and 1 inside "
        "of --inpaint",
    )
    inpaint: tuple[Span, ...] = Field(
        default=(), description="spans of the recording in seconds, such as 2-4, that alone are made anew"
    )
    candidates: int = Field(
        default=1, ge=1, le=64, description="sounds that are made, of which the one nearest to the caption is taken"
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same audio")
    controls: ControlValues = Field(
        default_factory=dict, description="a control of the model; amphion info MODEL lists them with their ranges"
    )


def check_not_empty(caption: str) -> None:
    """Raise DataError for a caption without words."""
    if not any(char.isalnum() for char in caption):
        problem = f"the caption {shortened(caption, 40)!r} has no words" if caption.strip() else "the caption is empty"
        raise DataError(problem, hint='amphion tta "a dog barks twice"')
