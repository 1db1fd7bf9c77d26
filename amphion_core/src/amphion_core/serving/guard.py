"""Who may ask, and how much they may send: the key, the names of the host, and the size of a body."""

import hmac
from collections.abc import MutableMapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amphion_core.errors import AmphionError
from amphion_core.own_computer import foreign_request
from amphion_core.serving.answers import Refused, answer
from amphion_core.serving.settings import Settings

OPEN = ("/health",)  # paths that need no key


class Guard:
    """Stands before the app. What it refuses never reaches a model."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with an error, or pass the request on with a body that is counted."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope["path"], headers)
        except AmphionError as error:
            await answer(error)(scope, receive, send)
        else:
            await self.app(scope, _Counted(receive, self.settings), send)

    def _check(self, path: str, headers: MutableMapping[str, str]) -> None:
        if self.settings.key is not None:
            if path not in OPEN and not _has_key(headers.get("authorization", ""), self.settings.key):
                raise Refused(401, "the key is missing or wrong", hint="send the header Authorization: Bearer KEY",
                              unread=True)  # fmt: skip
        elif (reason := foreign_request(headers.get("host", ""), headers.get("origin"))) is not None:
            hint = "ask for 127.0.0.1 from a program of this computer, or set a key"
            raise Refused(403, reason, hint=hint, unread=True)
        length = headers.get("content-length", "0")
        if length.isdecimal() and float(length) > self.settings.max_bytes:
            raise too_large(self.settings, unread=True)


class _Counted:
    """The body of a request. Raises Refused where it is larger than the header said or the server takes."""

    def __init__(self, receive: Receive, settings: Settings) -> None:
        self._receive, self._settings, self._bytes, self._is_refused = receive, settings, 0, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._settings.max_bytes and not self._is_refused:
            self._is_refused = bool(message.get("more_body"))  # what reads on only empties the connection
            raise too_large(self._settings, unread=self._is_refused)
        return message


def too_large(settings: Settings, *, unread: bool) -> Refused:
    """The error for a body that is too large."""
    return Refused(
        413, f"the request has more than {settings.max_upload:g} MB",
        hint="send a shorter or a compressed recording (.flac, .mp3); the server's option --max-upload is the limit",
        unread=unread,
    )  # fmt: skip


def _has_key(authorization: str, key: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.casefold() == "bearer" and hmac.compare_digest(given.strip().encode(), key.encode())
