"""Work spread over processes: the results and their order do not depend on the number of processes."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from typing import Any, TypeVar

from amphion_core.end_with_parent import end_with_parent
from amphion_core.errors import AmphionError, DataError


class WorkerDied(DataError):
    """A worker process was killed, by a signal or because the memory was full."""


THREADS = "OMP_NUM_THREADS"
GRACE = 5.0  # seconds that a process has to clean up its work before it is killed
UNGUARDED = 83  # exit code of a worker that was starting workers, because it ran the whole main script again
Task = TypeVar("Task")
Result = TypeVar("Result")


def default_processes() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(work: Callable[[Task], Result], tasks: Iterable[Task], processes: int) -> Iterator[Result]:
    """The results of ``work`` for every task, in the order of the tasks; ``work`` and tasks must pickle.

    One process means this process. More are started as new processes, each with OMP_NUM_THREADS=1; they are not forked,
    because a fork can hang once torch has started threads. They end when this process ends, also when it is killed, and
    when the iteration is given up, as by Ctrl-C; they do not finish their work then, but leave no half-written file.
    Raises what ``work`` raises, WorkerDied when a process was killed, AmphionError for a script without main guard.
    """
    if processes <= 1:
        yield from map(work, tasks)
        return
    exit_while_importing_main()
    context = _Context()
    try:
        with ProcessPoolExecutor(processes, context, initializer=_begin) as pool:
            try:
                with _one_thread(), signals_blocked(signal.SIGINT):
                    waiting = [pool.submit(_work, work, task) for task in tasks]
                for future in waiting:
                    yield future.result()
            except (KeyboardInterrupt, GeneratorExit):
                context.stop()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    except BrokenProcessPool as error:
        if any(process.exitcode == UNGUARDED for process in context.started):
            raise unguarded_main() from None
        raise WorkerDied(
            "a worker process was killed, perhaps because the memory was full",
            hint="run the same command again: it continues where it stopped; --processes 1 needs the least memory",
        ) from error


def exit_while_importing_main() -> None:
    """End this process if it is a worker that imports the main script, which therefore lacks a main guard.

    A worker that is spawned imports the main script to find its functions. Without ``if __name__ == "__main__":`` the
    import runs the whole script again, and each worker would start further workers.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)


def unguarded_main() -> AmphionError:
    """The error of a main script that starts worker processes and has no main guard."""
    return AmphionError(
        "the script starts worker processes and has no main guard, so each worker would run the whole script again",
        hint='put the calls below a line  if __name__ == "__main__":  or use one process',
    )


class _Context(SpawnContext):
    """Spawns processes and remembers them, so that their exit codes can be read."""

    def __init__(self) -> None:
        self.started: list[BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> BaseProcess:  # type: ignore[override]
        process = super().Process(*args, **kwargs)
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End all processes: each cleans up its work, and those that need longer than GRACE are killed."""
        for process in self.started:
            process.terminate()
        end = time.monotonic() + GRACE
        for process in self.started:
            process.join(max(0.0, end - time.monotonic()))
            process.kill()


class _Stopped(BaseException):
    """Leaves the work of a process that is to end, so that no half-written file stays."""


_working = False  # whether this worker process is inside its work


def _begin() -> None:
    """Prepare a worker process: it ends with its parent, and at SIGTERM."""
    end_with_parent()
    signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> None:
    if _working:
        raise _Stopped
    os._exit(1)


def _work(work: Callable[[Task], Result], task: Task) -> Result:
    global _working
    _working = True
    try:
        return work(task)
    except _Stopped:
        os._exit(1)  # the pool would catch the exception and start the next task
    finally:
        _working = False


@contextmanager
def signals_blocked(*signals: signal.Signals) -> Iterator[None]:
    """Processes that are started inside the block do not see the signals, such as Ctrl-C, until they unblock them.

    Ctrl-C goes to all processes of a terminal, and this process decides how the others end. In it, a signal that comes
    during the block is delivered after it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # multiprocessing's tracker; its start would end the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
