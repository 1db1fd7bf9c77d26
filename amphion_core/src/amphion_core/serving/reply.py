"""Sends audio as soon as it is there, and stops the work when the client goes away."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from amphion_core.audio import Audio
from amphion_core.errors import AmphionError
from amphion_core.serving.answers import ClientGone, as_json, clear, log, status_of
from amphion_core.serving.counters import Counters
from amphion_core.serving.formats import MEDIA, Encoder
from amphion_core.serving.running import Slot


class AudioReply(Response):
    """The pieces of an audio in one format, each sent when it is ready.

    ``events``: as server-sent events of OpenAI, with the bytes in base64. An error after the first piece closes the
    connection without its regular end; with ``events`` it is sent as one more event before.
    """

    def __init__(
        self, pieces: AsyncIterator[Audio], first: Audio, *, form: str, slot: Slot, task: str, counters: Counters,
        events: bool = False,
    ) -> None:  # fmt: skip
        media = "text/event-stream" if events else MEDIA[form]
        self._encoder = Encoder(form, first.sample_rate, 1 if first.samples.ndim == 1 else len(first.samples))
        super().__init__(media_type=media, headers={"X-Sample-Rate": str(self._encoder.rate)})
        del self.headers["content-length"]
        self._pieces, self._first, self._slot, self._events = pieces, first, slot, events
        self._task, self._counters = task, counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, unless the client goes away first or the time ends."""
        try:
            await first_of(self._send(send), receive, self._slot)
        except ClientGone:
            pass
        except Exception as error:
            known = clear(error)
            log.warning("an answer was cut short: %s", known.message)
            if self._events:
                await self._event(send, as_json(known, status_of(known)))
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._slot.release()
            await self._pieces.aclose()  # type: ignore[attr-defined]

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        piece: Audio | None = self._first
        while piece is not None:
            self._counters.audio.labels(self._task).inc(piece.duration)
            encode = partial(self._encoder.add, piece)
            await self._part(send, encode() if self._encoder.is_quick(piece) else await asyncio.to_thread(encode))
            piece = await anext(self._pieces, None)
        end = self._encoder.end
        await self._part(send, end() if self._encoder.is_quick() else await asyncio.to_thread(end))
        if self._events:
            await self._event(send, {"type": "speech.audio.done"})
        await send({"type": "http.response.body", "body": b""})

    async def _part(self, send: Send, data: bytes) -> None:
        if data and self._events:
            await self._event(send, {"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
        elif data:
            await send({"type": "http.response.body", "body": data, "more_body": True})

    @staticmethod
    async def _event(send: Send, about: Any) -> None:
        text = f"data: {json.dumps(about)}\n\n"
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def first_of(work: Awaitable[Any], receive: Receive, slot: Slot) -> Any:
    """The result of ``work``. Raises ClientGone if the client goes away first; the work is cancelled then.

    It is cancelled too when the time of the slot has passed and a second more; AmphionError says so.
    """
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        done, _ = await asyncio.wait({doing, gone}, timeout=slot.left + 1, return_when=asyncio.FIRST_COMPLETED)
        if doing in done:
            return doing.result()
        raise ClientGone if gone in done else AmphionError("the client did not take the answer in time")
    finally:
        for each in (doing, gone):
            each.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
