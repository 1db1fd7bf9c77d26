"""A request of OpenAI's speech endpoint -> a request of the task ``tts``."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from amphion_core.config import BaseConfig, validate
from amphion_core.errors import DataError, nearest, shortened
from amphion_core.serving.answers import Refused
from amphion_core.serving.offers import DEFAULT_NAMES, Offer, Offers
from amphion_core.serving.running import Runner

TASK = "tts"
BUILT_IN = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip
"""OpenAI's own voices. They mean the default voice, because many programs cannot send another name."""


class SpeechRequest(BaseConfig):
    """What OpenAI's clients send. Other fields are those of the task ``tts``, such as ``seed`` and ``controls``."""

    input: str = Field(description="the text to speak")
    model: str = Field(default="default", description="a name of /v1/models; default, tts-1: the server's default")
    voice: str = Field(default="default", description="a name of /v1/voices; default, alloy, ...: the model's default")
    response_format: Literal["mp3", "opus", "flac", "wav", "pcm"] = Field(
        default="mp3", description="pcm: 16-bit mono samples at 24 kHz"
    )
    speed: float = Field(default=1.0, ge=0.25, le=4, description="2 is double the speed")
    stream_format: Literal["audio", "sse"] = Field(
        default="audio", description="audio: the bytes of the file; sse: events with these bytes in base64"
    )
    stream: bool = Field(default=True, description="has no effect: an answer always comes sentence by sentence")
    instructions: str | None = Field(default=None, description="refused, because no model follows instructions")

    @field_validator("voice", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """A voice may be an object with an id."""
        return value.get("id", value) if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True)
class Speech:
    """A checked request of the speech endpoint, and the fields that go to the task."""

    asked: SpeechRequest
    fields: dict[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Speech":
        """Raises RecipeError for wrong fields, DataError for instructions."""
        own = {name: value for name, value in body.items() if name in SpeechRequest.model_fields}
        asked = validate(SpeechRequest, own, where="speech request", hint="GET /openapi.json describes the fields")
        if asked.instructions:
            raise DataError("no model here follows instructions", hint="leave the field instructions out")
        fields = {name: value for name, value in body.items() if name not in own} | {"text": asked.input}
        if asked.speed != 1:
            controls = fields.get("controls") or {}
            if not isinstance(controls, Mapping):
                raise DataError("controls: an object is needed", hint='"controls": {"length_scale": 1.2}')
            fields["controls"] = {"length_scale": round(1 / asked.speed, 6), **controls}
        return cls(asked, fields)


async def choose_voice(speech: Speech, offers: Offers, runner: Runner) -> tuple[Offer, dict[str, Any]]:
    """The model that speaks, and the fields of its request that choose the voice. Raises Refused (404)."""
    name, asked = speech.asked.voice, speech.asked
    offer = offers.find(TASK, asked.model)
    if name in ("default", offer.tag, offer.name, *BUILT_IN):
        return offer, {}
    if asked.model in DEFAULT_NAMES:
        for other in offers.of(TASK):
            if name in (other.tag, other.name):
                return other, {}
    async with runner.using(offer) as task:
        known = await asyncio.to_thread(task.voices)  # stored voices are files
        if name in known:
            return offer, await asyncio.to_thread(task.voice, name)
    close = nearest(name, [*known, *(other.tag for other in offers.of(TASK))])
    raise Refused(
        404, f"{offer.name} has no voice {shortened(name, 80)!r}",
        hint=f"did you mean {close}?" if close else "GET /v1/voices lists the voices",
    )  # fmt: skip


def voices(offers: Offers, runner: Runner) -> list[dict[str, Any]]:
    """The voices with their models. The speakers of a model are known once it is in memory."""
    found = []
    for offer in offers.of(TASK):
        own: list[str] = []
        if (task := runner.claim(offer)) is not None:
            try:
                own = task.voices()
            finally:
                runner.tasks.release(task)
        found += [{"id": name, "name": name, "object": "voice", "model": offer.name} for name in own or [offer.tag]]
    return found
