"""A command of ``amphion`` that the page has started: ``python -m amphion_core.demo.voice_child FOLDER STEP WORDS...``.

It ends with the server, also where that one was killed: its input then ends, and it gets the signal SIGTERM, after
which a training saves a checkpoint. While it runs it holds the lock ``STEP.lock`` in FOLDER, and at the end it writes
its exit code to ``STEP.ended``.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from amphion_core.files import atomic_write, locked

PATIENCE = 30.0  # seconds for which it waits for the end of the same step of a server that was killed
NICE = 5  # the page and what it speaks come first


def main(words: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    folder, step, *command = words
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_watch, name="end with the page", daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICE)
    code = 130
    try:
        descriptor = _lock(Path(folder) / f"{step}.lock")
        if descriptor is None:
            print("error: this step of the voice is already running in another process\nhint: wait", file=sys.stderr)
            return 2
        from amphion_core.cli.main import main as command_line

        code = command_line(command)
    except KeyboardInterrupt:
        code = 130
    finally:
        with suppress(Exception), atomic_write(Path(folder) / f"{step}.ended") as temporary:
            temporary.write_text(f"{code}\n", encoding="utf-8")
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch() -> None:
    """Wait until the server closes the input of this process, then ask this process to end."""
    with suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _lock(path: Path) -> int | None:
    """The lock, held until this process ends; None where another process does not free it in time."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return locked(path)
        except BlockingIOError:
            if time.monotonic() > end:
                return None
            time.sleep(0.2)


if __name__ == "__main__":
    result = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(result)  # as ``amphion`` itself: without freeing torch's objects one by one
