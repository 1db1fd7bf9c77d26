"""Errors as JSON in the shape of OpenAI's, with the sentence and the hint of the command line."""

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from amphion_core.errors import AmphionError, DeviceError, MissingPackage, RegistryError, UnknownComponent, WeightsError
from amphion_core.files import is_full
from amphion_core.system_errors import explained, is_memory_error

log = logging.getLogger("amphion.serve")
RETRY = 2  # seconds after which a client that was refused may ask again
DRAINED = 5.0  # seconds that the rest of a refused body may take


class Refused(AmphionError):
    """A request that the server refuses, with the HTTP status that gives the reason.

    ``unread``: the body of the request was not read to its end.
    """

    def __init__(
        self, status: int, message: str, *, hint: str | None = None, retry_after: int | None = None,
        unread: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after  # seconds
        self.unread = unread


class ClientGone(Exception):
    """The client has closed its connection, so nobody waits for the answer."""


def status_of(error: AmphionError) -> int:
    """The HTTP status of an error. What only the owner of the server can mend is 500."""
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, UnknownComponent):
        return 404
    if isinstance(error, MissingPackage | WeightsError | DeviceError | RegistryError):
        return 500
    return 400


def clear(error: Exception) -> AmphionError:
    """The error that a client is shown. The log has the details of what only the owner of the server can mend."""
    cause = error.__cause__ if isinstance(error, AmphionError) else error
    if isinstance(error, Refused) or not (isinstance(cause, OSError) or is_memory_error(cause)):
        known = error if isinstance(error, AmphionError) else explained(error)
        if known is None:
            log.error("unexpected %s", type(error).__name__, exc_info=error)
            known = Refused(500, f"unexpected {type(error).__name__}", hint="the log of the server has the details")
        return known
    log.error("the system reports: %s", cause, exc_info=cause)
    if is_memory_error(cause):
        return Refused(503, "the server has not enough memory", hint="ask again later, or for less", retry_after=RETRY)
    if cause is not None and is_full(cause):
        return Refused(503, "the disk of the server is full", hint="make room there; df -h shows what is free")
    if isinstance(error, AmphionError):
        return Refused(500, error.message, hint=error.hint)
    reason = getattr(cause, "strerror", None) or type(cause).__name__
    return Refused(500, f"the server's system reports: {reason}", hint="the log of the server has the details")


def answer(error: Exception) -> JSONResponse:
    """The answer to a request that failed. An error that only a programmer understands is in the log alone."""
    if isinstance(error, ClientGone):
        return JSONResponse({}, 499)  # nobody reads it
    known = clear(error)
    status = status_of(known)
    headers = {"Retry-After": str(known.retry_after)} if isinstance(known, Refused) and known.retry_after else {}
    if isinstance(known, Refused) and known.unread:
        return _Early(as_json(known, status), status, {**headers, "Connection": "close"})
    return JSONResponse(as_json(known, status), status, headers)


class _Early(JSONResponse):
    """An answer to a request whose body is perhaps still on its way. It is sent at once.

    Then the rest of the body is read for a while, because many clients look at the answer only after sending theirs.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body), "more_body": True})
        with suppress(TimeoutError, AmphionError):  # AmphionError: the body is too large, and was read already
            async with asyncio.timeout(DRAINED):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})


def as_json(error: AmphionError, status: int) -> dict[str, Any]:
    """``{"error": {"message", "hint", "type", "param", "code"}}``."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 503: "overloaded_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = HTTPStatus(status).phrase.casefold().replace(" ", "_")
    about = {"message": error.message, "hint": error.hint, "type": kind, "param": None, "code": code}
    return {"error": about}
