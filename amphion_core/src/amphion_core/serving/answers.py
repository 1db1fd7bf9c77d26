"""Errors as JSON in the shape of OpenAI's, with the sentence and the hint of the command line."""

import logging
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from amphion_core.errors import AmphionError, DeviceError, MissingPackage, RegistryError, UnknownComponent, WeightsError
from amphion_core.system_errors import explained

log = logging.getLogger("amphion.serve")


class Refused(AmphionError):
    """A request that the server refuses for a reason of its own, with the HTTP status that says so."""

    def __init__(self, status: int, message: str, *, hint: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after = retry_after  # seconds


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


def answer(error: Exception) -> JSONResponse:
    """The answer to a request that failed. An error that only a programmer understands is in the log alone."""
    if isinstance(error, ClientGone):
        return JSONResponse({}, 499)  # nobody reads it
    known = error if isinstance(error, AmphionError) else explained(error)
    if known is None:
        log.error("unexpected %s", type(error).__name__, exc_info=error)
        known = Refused(500, f"unexpected {type(error).__name__}", hint="the log of the server has the details")
    status = status_of(known)
    headers = {"Retry-After": str(known.retry_after)} if isinstance(known, Refused) and known.retry_after else {}
    if status in (401, 403, 408, 413):  # the rest of the body may still be on its way
        headers["Connection"] = "close"
    return JSONResponse(as_json(known, status), status, headers)


def as_json(error: AmphionError, status: int) -> dict[str, Any]:
    """``{"error": {"message", "hint", "type", "param", "code"}}``."""
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 503: "overloaded_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = HTTPStatus(status).phrase.casefold().replace(" ", "_")
    about = {"message": error.message, "hint": error.hint, "type": kind, "param": None, "code": code}
    return {"error": about}
