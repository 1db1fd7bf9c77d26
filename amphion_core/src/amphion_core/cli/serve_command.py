"""Serve every installed task over HTTP, with speech as OpenAI's clients ask for it."""

import argparse
import logging
import sys
from importlib.util import find_spec

from amphion_core import registry
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_memory_option
from amphion_core.errors import DataError, MissingPackage

EPILOG = """examples:
  amphion serve
  amphion serve tts --model tts/vits@piper-en-us-joe --preload
  AMPHION_API_KEY=... amphion serve --host 0.0.0.0"""
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
VARIABLE = "AMPHION_API_KEY"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion serve``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="tasks to offer, such as tts; by default all")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address; any but this computer's own needs a key (127.0.0.1)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port; 0: any that is free (8000)")
    parser.add_argument(
        "--key-variable", default=VARIABLE, metavar="NAME",
        help=f"environment variable with the key that clients must send; without it no key is needed ({VARIABLE})",
    )  # fmt: skip
    parser.add_argument(
        "--model", action="append", default=[], metavar="[TASK=]PLACE",
        help="card, weights folder or run; without TASK= of tts. The first of a task is its default. May be repeated",
    )  # fmt: skip
    parser.add_argument("--preload", action="store_true", help="load the default voice before the first request")
    add_device_options(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-text", type=int, default=4096, help="characters of a text (4096)")
    limits.add_argument("--max-upload", type=float, default=25.0, help="MB of a request (25)")
    limits.add_argument("--max-audio", type=float, default=600.0, help="seconds of a recording (600)")
    limits.add_argument("--timeout", type=float, default=300.0, help="seconds of a request (300)")
    limits.add_argument("--queue", type=int, default=64, help="requests in work or waiting; more are refused (64)")
    add_memory_option(limits)
    limits.add_argument("--workers", type=int, default=0, help="sentences computed at once; 0: one for each core (0)")
    complete(parser, model=("cards:tts", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise MissingPackage(
            f"the server needs {', '.join(missing)}, which is not installed", hint='pip install "amphion-core[serve]"'
        )
    from amphion_core.serving.settings import Settings, checked, read_key

    tasks = _tasks(args.tasks)
    _check_limits(args)
    settings = Settings(
        tasks=tasks, places=_places(args.model, tasks), host=args.host, port=args.port, key=read_key(args.key_variable),
        max_text=args.max_text, max_upload=args.max_upload, max_audio=args.max_audio, timeout=args.timeout,
        queue=args.queue, workers=args.workers, memory=args.memory, precision=args.precision,
        device=args.device, preload=args.preload,
    )  # fmt: skip
    checked(settings, args.key_variable)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("amphion.serve").setLevel(logging.INFO)
    from amphion_core.serving.server import serve

    serve(settings)
    return 0


def _tasks(given: list[str]) -> tuple[str, ...]:
    """The names of the tasks to offer. Raises UnknownComponent, and DataError where none is installed."""
    names = tuple(dict.fromkeys(registry.find("tasks", name).name for name in given)) or tuple(registry.names("tasks"))
    if not names:
        raise DataError("no task is installed, so there is nothing to serve", hint="pip install amphion-tts")
    return names


def _places(given: list[str], tasks: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The models of each task, in their order. Raises DataError for a task that is not offered."""
    found: dict[str, tuple[str, ...]] = {}
    for word in given:
        task, equals, place = word.partition("=")
        if not equals or not registry.NAME.fullmatch(task):
            task, place = "tts", word
        if task not in tasks:
            raise DataError(f"--model {word}: the task {task} is not offered", hint=f"TASK=PLACE of {', '.join(tasks)}")
        found[task] = (*found.get(task, ()), place)
    return found


def _check_limits(args: argparse.Namespace) -> None:
    for name in ("max_text", "max_upload", "max_audio", "timeout", "queue"):
        if not getattr(args, name) > 0:
            raise DataError(f"--{name.replace('_', '-')} must be above 0", hint="amphion serve --help")
    if not 0 <= args.port < 1 << 16 or args.workers < 0:
        raise DataError("--port is 0 to 65535, and --workers 0 or more", hint="amphion serve --help")
