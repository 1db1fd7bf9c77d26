"""Refuses the requests of other sites to a page without a password."""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from amphion_core.own_computer import foreign_request


class Guard:
    """Stands before the page of a computer whose user needs no password. Gradio checks neither host nor origin."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with 403 or pass the request on."""
        app = self.app
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            reason = foreign_request(headers.get("host", ""), headers.get("origin"))
            if reason is not None:
                app = PlainTextResponse(f"error: {reason}\nhint: open http://127.0.0.1, or set a password\n", 403)
        await app(scope, receive, send)
