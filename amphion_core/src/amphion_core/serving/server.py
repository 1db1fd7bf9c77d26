"""Opens the socket, runs the app, and ends it cleanly on Ctrl-C and SIGTERM."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from amphion_core.convolution_cache import keep_few_convolutions
from amphion_core.errors import AmphionError
from amphion_core.serving.app import Server, make_app
from amphion_core.serving.places import check_places
from amphion_core.serving.settings import Settings
from amphion_core.serving.speech import TASK

KEPT = 75  # seconds of an idle connection; clients give up theirs after 5 to 60, and must not find it closed before
GRACE = 5  # seconds that answers may take after the signal to end


def serve(settings: Settings) -> None:
    """Serve until a signal ends it. Raises AmphionError for a model or an address that cannot be used."""
    keep_few_convolutions()  # memory stays flat, whatever lengths the sentences have
    with _listening(settings) as listening:
        check_places(settings)
        server = Server(settings)
        config = uvicorn.Config(
            make_app(server), log_config=None, log_level="critical", access_log=False, lifespan="off",
            timeout_graceful_shutdown=GRACE, timeout_keep_alive=KEPT, server_header=False,
        )  # fmt: skip
        try:
            asyncio.run(_serve(server, _Uvicorn(config), listening))
        finally:
            server.runner.close()
            server.evaluator.pool.shutdown(wait=False, cancel_futures=True)
        if server.runner.is_computing:  # a piece that takes minutes cannot be stopped, and nobody waits for it
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


async def _serve(server: Server, program: uvicorn.Server, listening: socket.socket) -> None:
    settings = server.settings
    if settings.preload:
        await server.runner.load(server.offers.default(TASK if TASK in settings.tasks else settings.tasks[0]))
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"serving {', '.join(settings.tasks)} at http://{shown}:{port} (Ctrl-C ends it)", flush=True)
    await program.serve(sockets=[listening])


class _Uvicorn(uvicorn.Server):
    """Ends after a signal with exit code 0; the original repeats the signal, so that the process seems to be killed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal end the server, and the second one the process."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listening(settings: Settings) -> socket.socket:
    """A socket at the address. A server that was killed a moment ago does not block it."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AmphionError(
            f"{settings.host}:{settings.port} cannot be used: {reason}",
            hint=f"amphion serve --port {settings.port + 1}",
        ) from error
    made.listen(1024)
    return made
