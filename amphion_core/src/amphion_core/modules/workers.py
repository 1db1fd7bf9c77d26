"""Threads that each compute on one core, for work that falls into independent pieces.

torch splits every operation among its threads and waits for the slowest after each. When another program uses a core,
nearly every operation waits for it. Independent pieces wait only once, at the end.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Result = TypeVar("Result")
_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}  # one pool for each number of threads that was used
os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork


def run_pieces(pieces: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run functions in parallel, each on one thread, and return their results in order.

    Uses as many threads as torch does in the calling thread; with one, the caller runs all pieces itself. Gradients are
    not recorded. An exception of a piece is raised here.
    """
    count = torch.get_num_threads()
    if count == 1 or len(pieces) == 1:
        return [piece() for piece in pieces]
    return list(_pool(count).map(_without_gradients(), pieces))


def run_on_one_thread(work: Callable[[], Result]) -> Result:
    """Run a function on one thread of torch's and return its result. Gradients are not recorded.

    Many small operations gain little from a second thread, and lose much when another program uses its core.
    """
    count = torch.get_num_threads()
    return work() if count == 1 else _pool(count).submit(_without_gradients(), work).result()


def _without_gradients() -> Callable[[Callable[[], Result]], Result]:
    inference = torch.is_inference_mode_enabled()  # the caller's mode: a new thread starts without it

    def run(work: Callable[[], Result]) -> Result:
        with torch.inference_mode(inference), torch.no_grad():
            return work()

    return run


def _pool(count: int) -> ThreadPoolExecutor:
    with _lock:
        if count not in _pools:
            pool = ThreadPoolExecutor(count, thread_name_prefix="amphion-piece")
            started = threading.Barrier(count)  # the pool starts a thread only while all others are busy

            def start() -> None:
                torch.get_num_threads()  # the first call in a thread applies the common number; later ones do not
                torch.set_num_threads(1)  # for this thread, and for threads that torch has not seen yet
                started.wait()

            for future in [pool.submit(start) for _ in range(count)]:
                future.result()
            torch.set_num_threads(count)  # unchanged for the caller, restored for new threads
            _pools[count] = pool
        return _pools[count]
