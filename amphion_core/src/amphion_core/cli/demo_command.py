"""Show a page with all installed tasks in the browser: fill in, listen, compare models, download."""

import argparse
from pathlib import Path

from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_memory_option


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion demo``."""
    parser.add_argument("task", nargs="*", help="tasks to show, such as tts (all that are installed)")
    parser.add_argument("--port", type=_port, default=7860, help="port of the page; 0 takes a free one (7860)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of the page (127.0.0.1, which only this computer can reach); another one needs the variables "
        "AMPHION_DEMO_USER and AMPHION_DEMO_PASSWORD",
    )
    add_memory_option(parser)
    parser.add_argument("--queue", type=_count, default=16, help="requests that may wait at once, 1 to 1000 (16)")
    parser.add_argument(
        "--voices", type=Path, default=Path("voices"), metavar="DIR", help="folder of the voices that are made with "
        "the page, which it keeps (./voices)"
    )  # fmt: skip
    add_device_options(parser)
    complete(parser, task=("tasks",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the page until Ctrl-C; the last line is its address."""
    from amphion_core.demo.server import serve

    serve(
        args.task, host=args.host, port=args.port, device=args.device, precision=args.precision, memory=args.memory,
        queue=args.queue, voices=args.voices,
    )  # fmt: skip
    return 0


def _port(text: str) -> int:
    return _whole(text, 0, 65535)


def _count(text: str) -> int:
    return _whole(text, 1, 1000)


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text[:50]!r} is not a number from {least} to {most}")
    return int(text)
