"""Starts the page: which addresses it may have, who may open it, and what Gradio must not do."""

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from amphion_core import registry
from amphion_core.errors import AmphionError, MissingPackage
from amphion_core.extras import pip_command
from amphion_core.own_computer import is_loopback

USER, PASSWORD = "AMPHION_DEMO_USER", "AMPHION_DEMO_PASSWORD"
UPLOAD = 100  # megabytes of one file


def require_gradio() -> None:
    """Raise MissingPackage unless Gradio is installed."""
    if find_spec("gradio") is None:
        raise MissingPackage("the demo page needs gradio", hint=pip_command("amphion-core", ["gradio"]))


def tasks(names: Sequence[str]) -> list[str]:
    """The tasks of the page: the named ones, else all that are installed. Raises UnknownComponent."""
    if not names and not registry.names("tasks"):
        raise AmphionError("no task is installed, so there is nothing to show", hint="pip install amphion-tts")
    return [registry.find("tasks", name).name for name in dict.fromkeys(names)] or [*registry.names("tasks")]


def account(host: str) -> tuple[str, str] | None:
    """The user and the password of the page, from the environment; None for a page that only this computer can open.

    Raises AmphionError for another address without them.
    """
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    if user and password:
        return user, password
    if user or password:
        raise AmphionError(f"{USER} and {PASSWORD} belong together", hint=f"export {USER}=NAME {PASSWORD}=SECRET")
    if not is_loopback(host):
        raise AmphionError(
            f"other computers could open the page at {host}, and no password is set",
            hint=f"export {USER}=NAME {PASSWORD}=SECRET, or leave --host out",
        )
    return None


def free_port(host: str, port: int) -> int:
    """``port``, or any free one for 0. Raises AmphionError where it cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            option = f"--port {port + 1}" if is_loopback(host) and port < 65535 else "--host 127.0.0.1"
            raise AmphionError(
                f"{host}:{port} cannot be used: {error.strerror}", hint=f"amphion demo {option}"
            ) from error
        return int(listener.getsockname()[1])


def prepare_gradio(folder: Path) -> None:
    """What Gradio reads when it is imported: no analytics, and uploads in a folder of this server."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)


def serve(
    names: Sequence[str], *, host: str, port: int, device: str, precision: str, memory: float, queue: int, voices: Path
) -> None:
    """Show the page until the process is interrupted. Prints the address when the page can be opened.

    ``voices`` is the folder of the voices that are made with the page; it need not exist.
    """
    require_gradio()
    shown, secret = tasks(names), account(host)
    port = free_port(host, port)
    with tempfile.TemporaryDirectory(prefix="amphion-demo-uploads-") as uploads:
        prepare_gradio(Path(uploads))
        from starlette.middleware import Middleware

        from amphion_core.demo.guard import Guard
        from amphion_core.demo.jobs import Jobs
        from amphion_core.demo.page import STYLE, build, theme
        from amphion_core.demo.results import Studio
        from amphion_core.demo.voice_steps import Steps
        from amphion_core.demo.voices import Voices
        from amphion_core.devices import resolve_device
        from amphion_core.loaded_tasks import GIGABYTE, LoadedTasks

        loaded = LoadedTasks(round(memory * GIGABYTE))
        studio, jobs = Studio(loaded, precision=precision, device=str(resolve_device(device))), Jobs()
        steps = Steps()
        page = build(shown, studio, jobs, Voices(voices), steps, own_places=is_loopback(host), queue=queue)
        try:
            page.launch(
                server_name=host, server_port=port, auth=secret, max_file_size=UPLOAD * 10**6, theme=theme(), css=STYLE,
                prevent_thread_lock=True, quiet=True, share=False, inbrowser=False, ssr_mode=False, pwa=False,
                mcp_server=False, enable_monitoring=False, run_history=False, footer_links=[], show_error=True,
                app_kwargs={"middleware": [] if secret else [Middleware(Guard)]},
            )  # fmt: skip
            print(f"http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
            ended = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: ended.set())
            ended.wait()
        finally:
            steps.close()
            jobs.close()
            page.close(verbose=False)
            studio.close()
