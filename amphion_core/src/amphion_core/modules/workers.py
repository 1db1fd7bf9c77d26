"""Threads that each compute on one core, for work that falls into independent pieces.

torch splits every operation among its threads and waits for the slowest after each. When another program uses a core,
nearly every operation waits for it. Independent pieces wait only once, at the end.
"""

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

import torch

Result = TypeVar("Result")
_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}  # one pool for each number of threads that was used
_here = threading.local()  # ``threads``: how many threads the pieces of the work of this worker thread may use
os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork


def threads_for_pieces() -> int:
    """Number of threads that ``run_pieces`` would use here: as many as torch uses in the thread that began the work."""
    return getattr(_here, "threads", 0) or torch.get_num_threads()


def run_pieces(pieces: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run functions in parallel, each on one thread, and return their results in order.

    Uses ``threads_for_pieces`` threads; with one, the caller runs all pieces itself. Gradients are not recorded. An
    exception of a piece is raised here.
    """
    if threads_for_pieces() == 1 or len(pieces) == 1:
        return [piece() for piece in pieces]
    return run_on_one_thread(partial(_share, pieces))


def run_on_one_thread(work: Callable[[], Result]) -> Result:
    """Run a function on one thread of torch's and return its result. Gradients are not recorded.

    Many small operations gain little from a second thread, and lose much when another program uses its core. Large
    parts of the work can use the other threads through ``run_pieces``.
    """
    count = torch.get_num_threads()
    if count == 1:  # also when a worker thread calls this
        return work()
    return _pool(count).submit(_with_threads(count, work)).result()


def _share(pieces: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run pieces in this worker thread and in others. Each takes the next piece when it has finished one."""
    count = _here.threads
    results: dict[int, Result] = {}
    waiting = deque(enumerate(pieces))

    def take() -> None:
        while True:
            try:
                index, piece = waiting.popleft()
            except IndexError:
                return
            results[index] = piece()

    helpers = [_pool(count).submit(_with_threads(1, take)) for _ in range(min(count, len(pieces)) - 1)]
    try:
        _with_threads(1, take)()
    finally:
        running = [helper for helper in helpers if not helper.cancel()]  # busy pools never start some helpers
        wait(running)
    for helper in running:
        helper.result()
    return [results[index] for index in range(len(pieces))]


def _with_threads(count: int, work: Callable[[], Result]) -> Callable[[], Result]:
    """Return ``work`` for a worker thread, with ``count`` threads for its pieces and the caller's inference mode."""
    inference = torch.is_inference_mode_enabled()  # a new thread starts without it
    context = contextvars.copy_context()  # nor with the caller's recorder, see `recording`

    def run() -> Result:
        before, _here.threads = getattr(_here, "threads", 0), count
        try:
            with torch.inference_mode(inference), torch.no_grad():
                return context.run(work)
        finally:
            _here.threads = before

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
