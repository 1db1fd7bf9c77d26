"""A process ends when the process that started it has ended, also when that one was killed."""

import multiprocessing
import os
import threading
import time


def end_with_parent(worker: int | None = None) -> None:
    """Watch the parent process from a thread, and end this process at once when the parent has ended.

    For processes that ``multiprocessing`` started with "spawn" or "forkserver"; in any other process it does nothing. A
    parent that ended before the call is noticed too. ``worker`` is ignored; torch's loaders pass a number here.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def end_with_launcher() -> None:
    """Watch ``torchrun``, or ``accelerate launch``, from a thread, and end this process when it has ended.

    A launcher that is killed cannot stop the training processes that it started. In any other process it does nothing.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:  # a process whose parent has ended gets another one
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, name="end with launcher", daemon=True).start()
