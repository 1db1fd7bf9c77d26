"""Work spread over processes: the same results, in order, with one process or with many."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from amphion_core.errors import DataError


class WorkerDied(DataError):
    """A worker process was killed, by a signal or for want of memory."""


THREADS = "OMP_NUM_THREADS"
Task = TypeVar("Task")
Result = TypeVar("Result")


def default_processes() -> int:
    """As many as the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    """``work`` of every task, in order, as the results come; ``work`` and tasks must pickle.

    With one process it runs here. Others are started afresh (not forked: a fork after torch has threads can hang), each
    with OMP_NUM_THREADS=1. Raises what ``work`` raises, and WorkerDied when a process was killed.
    """
    if processes <= 1:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        try:
            with _one_thread():
                waiting = [pool.submit(work, task) for task in tasks]
            for future in waiting:
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerDied(
                "a worker process was killed, perhaps for want of memory",
                hint="run the same command again: it goes on where it stopped; --processes 1 needs least memory",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """For the processes that start inside: what a library reads when it is imported, which can be before any work."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before
