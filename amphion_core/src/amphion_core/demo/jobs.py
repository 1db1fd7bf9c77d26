"""Runs the requests of the page one after the other in one thread. Each can be stopped inside of a network."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


class Stopped(BaseException):
    """The user has cancelled the job. Code that handles errors must not catch it, as with KeyboardInterrupt."""


class Job:
    """One piece of work, and what it is doing now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = "waiting for the request before it"
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the job to end; it ends at the next layer of a network, or at the next `check`."""
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has asked the job to end."""
        return self._stop.is_set()

    def check(self, status: str = "") -> None:
        """Called by the work between its steps; ``status`` is what it does next. Raises Stopped."""
        if self.is_stopped:
            raise Stopped
        self.status = status or self.status


class Jobs:
    """The queue of jobs, and the newest job of each user, by a name such as that of a browser's session."""

    def __init__(self) -> None:
        # One thread for all jobs: each new thread would start more threads of OpenMP.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="demo")
        self._newest: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, name: str, work: Callable[[Job], Any]) -> "tuple[Job, Future[Any]]":
        """Queue ``work``. A job of the same name that has not ended is stopped."""
        job = Job(name)
        with self._lock:
            if before := self._newest.get(name):
                before.stop()
            self._newest[name] = job

        def run() -> Any:
            try:
                job.check()
                with stoppable(job):
                    return work(job)
            finally:
                with self._lock:
                    if self._newest.get(name) is job:
                        del self._newest[name]

        return job, self._thread.submit(run)

    def stop(self, prefix: str) -> bool:
        """Stop the jobs whose name begins with ``prefix``; whether there was one."""
        with self._lock:
            found = [job for name, job in self._newest.items() if name.startswith(prefix)]
        for job in found:
            job.stop()
        return bool(found)

    def close(self) -> None:
        """Stop all jobs and the thread."""
        self.stop("")
        self._thread.shutdown(wait=False, cancel_futures=True)


@contextmanager
def stoppable(job: Job) -> Iterator[None]:
    """While the block runs, every layer of every network first looks whether the job was cancelled."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    def look(module: object, inputs: object) -> None:
        if job.is_stopped:
            raise Stopped

    hook = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        hook.remove()
