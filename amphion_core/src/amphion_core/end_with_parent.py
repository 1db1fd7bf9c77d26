"""A process ends when the process that started it has ended, also when that one was killed."""

import multiprocessing
import os
import socket
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


def _store_is_gone() -> bool:
    """Whether nothing answers where ``torchrun`` keeps the store of the run, which it starts before the processes."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return False
    try:
        socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), timeout=5.0).close()
    except ConnectionRefusedError:
        return True
    except (OSError, KeyError, ValueError):  # another network, or another launcher
        return False
    return False


def end_with_launcher() -> None:
    """Watch ``torchrun``, or ``accelerate launch``, from a thread, and end this process when it has ended.

    A launcher that is killed cannot stop the training processes that it started. In any other process it does nothing.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher and not gone:  # a process whose parent has ended gets another one
            time.sleep(1.0)
        os._exit(1)

    gone = launcher == 1 and _store_is_gone()  # it may have been killed while this process was starting

    threading.Thread(target=watch, name="end with launcher", daemon=True).start()
