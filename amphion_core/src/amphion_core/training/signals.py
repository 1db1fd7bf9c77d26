"""Ctrl-C and SIGTERM end a run after the present step, with a checkpoint."""

import signal
from typing import Any, Protocol


class Stoppable(Protocol):
    """An engine that stops after the present step once ``stop_requested`` is True."""

    stop_requested: bool


def stop_on_signals(target: Stoppable) -> None:
    """Set ``target.stop_requested`` at the first SIGINT or SIGTERM; a second one ends the process at once."""

    def stop(number: int, frame: Any) -> None:
        target.stop_requested = True
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
    except ValueError:  # not the main thread, as in a notebook's executor
        return
