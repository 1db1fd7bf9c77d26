"""The paths of the server, and what each answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amphion_core import __version__, registry
from amphion_core.errors import AmphionError, DataError, nearest
from amphion_core.serving import speech
from amphion_core.serving.answers import ClientGone, Refused, answer, log
from amphion_core.serving.counters import Counters
from amphion_core.serving.evaluation import Evaluator
from amphion_core.serving.fields import checked_request, read_body
from amphion_core.serving.formats import MEDIA
from amphion_core.serving.guard import Guard
from amphion_core.serving.offers import Offer, Offers
from amphion_core.serving.reply import AudioReply, first_of
from amphion_core.serving.running import Runner, Slot
from amphion_core.serving.settings import Settings


class Server:
    """The state behind the paths: offers, models, counters."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.offers, self.runner, self.evaluator = Offers(settings), Runner(settings), Evaluator(settings)
        self.counters = Counters(in_work=lambda: len(self.runner.slots), models=lambda: len(self.runner.tasks))
        self.began = int(time.time())

    async def speak(self, request: Request) -> Response:
        """``POST /v1/audio/speech``."""
        if speech.TASK not in self.settings.tasks:
            raise Refused(404, "this server does not speak", hint="pip install amphion-tts", unread=True)
        framework = registry.get("tasks", speech.TASK)

        async def start(body: dict[str, Any], slot: Slot) -> Response:
            asked = speech.Speech.of(body)
            made = await checked_request(framework, asked.fields, self.settings)
            offer, chosen = await self.runner.in_time(speech.choose_voice(asked, self.offers, self.runner), slot)
            return await self._generated(
                offer, made.replace(**chosen) if chosen else made, asked.asked.response_format, slot,
                events=asked.asked.stream_format == "sse",
            )  # fmt: skip

        return await self._in_turn(request, start)

    async def run_task(self, request: Request, task: str) -> Response:
        """``POST /v1/tasks/{task}?model=...&response_format=wav``: any task, by the fields of its ``Request``."""
        self._check_task(task)
        form = request.query_params.get("response_format", "wav")
        if form not in MEDIA:
            raise DataError(f"no audio format {form!r}", hint=f"use one of {', '.join(MEDIA)}")
        offer = self.offers.find(task, request.query_params.get("model"))
        framework = registry.get("tasks", task)

        async def start(body: dict[str, Any], slot: Slot) -> Response:
            return await self._generated(offer, await checked_request(framework, body, self.settings), form, slot)

        return await self._in_turn(request, start)

    async def evaluate(self, request: Request) -> Response:
        """``POST /v1/evaluate``: metrics of a pair of files."""
        if not registry.names("metrics"):
            raise Refused(404, "no metric is installed", hint="pip install amphion-eval", unread=True)

        async def start(body: dict[str, Any], slot: Slot) -> Response:
            work = self.runner.compute(self.evaluator.pool, partial(self.evaluator.scores, body))
            return JSONResponse(await self.runner.in_time(work, slot))

        return await self._in_turn(request, start, releases=True)

    async def tasks(self, request: Request) -> Response:
        """``GET /v1/tasks``: each with its fields as a JSON schema and its models."""
        return JSONResponse({"object": "list", "data": await asyncio.to_thread(self._tasks)})

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``: in OpenAI's shape, with the task of each."""
        return JSONResponse({"object": "list", "data": await asyncio.to_thread(self._models)})

    async def model(self, request: Request, name: str) -> Response:
        """``GET /v1/models/{name}``."""
        for found in await asyncio.to_thread(self._models):
            if found["id"] == name:
                return JSONResponse(found)
        raise Refused(404, f"this server offers no model {name[:80]!r}", hint="GET /v1/models lists them")

    async def voices(self, request: Request) -> Response:
        """``GET /v1/voices``: the names that the speech endpoint takes as ``voice``."""
        if speech.TASK not in self.settings.tasks:
            return JSONResponse({"object": "list", "data": []})
        found = await asyncio.to_thread(speech.voices, self.offers, self.runner)
        return JSONResponse({"object": "list", "data": found})

    async def health(self, request: Request) -> Response:
        """``GET /health``."""
        return JSONResponse({"status": "ok", "version": __version__})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``, for Prometheus."""
        return Response(self.counters.text(), media_type="text/plain; version=0.0.4")

    async def _generated(self, offer: Offer, made: Any, form: str, slot: Slot, *, events: bool = False) -> Response:
        pieces = self.runner.pieces(offer, made, slot)
        first = await anext(pieces, None)
        if first is None:
            raise DataError("the task made no audio")
        self.counters.first_audio.labels(offer.task).observe(asyncio.get_running_loop().time() - slot.start)
        return AudioReply(pieces, first, form=form, slot=slot, task=offer.task, counters=self.counters, events=events)

    async def _in_turn(
        self, request: Request, start: Callable[[dict[str, Any], Slot], Awaitable[Response]], *, releases: bool = False
    ) -> Response:
        """The answer that ``start`` makes of the body, unless the client goes away before.

        A request whose place in the queue is not free is refused before its body is read.
        """
        slot = self.runner.admit()
        try:
            body = await read_body(request, self.settings)
            found: Response = await first_of(start(body, slot), request.receive, slot)
        except BaseException:
            slot.release()
            raise
        if releases:
            slot.release()
        return found

    def _check_task(self, task: str) -> None:
        if task not in self.settings.tasks:
            close = nearest(task, self.settings.tasks)
            hint = f"did you mean {close}?" if close else f"the tasks are {', '.join(self.settings.tasks)}"
            raise Refused(404, f"this server offers no task {task[:80]!r}", hint=hint)

    def _tasks(self) -> list[dict[str, Any]]:
        found = []
        for name in self.settings.tasks:
            about: dict[str, Any] = {"id": name, "object": "task", "summary": registry.find("tasks", name).summary}
            try:
                about["request"] = registry.get("tasks", name).Request.model_json_schema()
                about["models"] = [offer.name for offer in self.offers.of(name)]
            except AmphionError as error:  # a broken plugin must not hide the tasks of others
                about["error"] = error.message
            found.append(about)
        return found

    def _models(self) -> list[dict[str, Any]]:
        return [
            {"id": offer.name, "object": "model", "created": self.began, "owned_by": "amphion", "task": task}
            for task in self.settings.tasks
            for offer in self.offers.of(task)
        ]


def make_app(server: Server) -> ASGIApp:
    """The whole server as an ASGI app."""
    app = FastAPI(title="Amphion", version=__version__, docs_url=None, redoc_url=None)
    body = {"content": {"application/json": {"schema": speech.SpeechRequest.model_json_schema()}}}
    app.post("/v1/audio/speech", openapi_extra={"requestBody": body})(server.speak)
    app.post("/v1/tasks/{task:path}")(server.run_task)
    app.post("/v1/evaluate")(server.evaluate)
    app.get("/v1/tasks")(server.tasks)
    app.get("/v1/models")(server.models)
    app.get("/v1/models/{name:path}")(server.model)
    app.get("/v1/voices")(server.voices)
    app.get("/health")(server.health)
    app.get("/metrics")(server.metrics)

    async def failed(request: Request, error: Exception) -> Response:
        return answer(error)

    async def unknown(request: Request, error: Any) -> Response:
        hints = {404: "GET /openapi.json lists the paths", 405: "GET /openapi.json lists the paths and their methods"}
        refused = Refused(error.status_code, str(error.detail).casefold(), hint=hints.get(error.status_code))
        return answer(refused)

    app.add_exception_handler(AmphionError, failed)
    app.add_exception_handler(ClientGone, failed)
    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(HTTPException, unknown)
    return _Measured(Guard(app, server.settings), server.counters)  # what is refused is in the log too


class _Measured:
    """Counts requests and their times, writes a line for each to the log, and answers errors that nobody expected."""

    def __init__(self, app: ASGIApp, counters: Counters) -> None:
        self.app, self.counters = app, counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if not status:  # otherwise it was answered, or the connection is closed
                await answer(error)(scope, receive, noted)
        path = getattr(scope.get("route"), "path", "other")
        seconds = time.perf_counter() - start
        self.counters.requests.labels(path, str(status)).inc()
        self.counters.seconds.labels(path).observe(seconds)
        log.info("%s %s %d %.3f s", scope["method"], path, status, seconds)
