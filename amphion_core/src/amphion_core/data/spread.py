"""Work spread over processes: the results and their order do not depend on the number of processes."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from amphion_core.errors import DataError


class WorkerDied(DataError):
    """A worker process was killed, by a signal or because the memory was full."""


THREADS = "OMP_NUM_THREADS"
Task = TypeVar("Task")
Result = TypeVar("Result")


def default_processes() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    """The results of ``work`` for every task, in the order of the tasks; ``work`` and tasks must pickle.

    One process means this process. More are started as new processes, each with OMP_NUM_THREADS=1; they are not forked,
    because a fork can hang once torch has started threads. Raises what ``work`` raises, and WorkerDied when a process
    was killed.
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
                "a worker process was killed, perhaps because the memory was full",
                hint="run the same command again: it continues where it stopped; --processes 1 needs the least memory",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started inside the block use one thread: libraries read the variable when they are imported."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before
