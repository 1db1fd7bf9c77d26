"""Work spread over a Ray cluster: what `spread` does, where one computer is not enough. Extra: amphion-core[ray].

Tasks must name files by paths that every computer of the cluster can read, and their distributions must be installed on
each. The cluster is the one of ``RAY_ADDRESS``; without it, one is started on this computer.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from amphion_core.data.spread import Result, Task, WorkerDied
from amphion_core.errors import DataError, MissingPackage

RETRIES = 3  # of a task whose worker died
STALL = 600.0  # seconds without any result, after which the cluster is given up
HINT = 'pip install "amphion-core[ray]"'


def spread_on_ray(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, cpus: float = 1.0, stall: float = STALL
) -> Iterator[Result]:
    """``work`` of every task, in order; ``work`` and tasks must pickle. At most twice as many wait as can run.

    A task whose worker dies is tried again; after 3 tries WorkerDied is raised. Raises what ``work`` raises, DataError
    for a cluster without free CPUs and for one that gives no result in ``stall`` seconds, MissingPackage without ray.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingPackage("work on a cluster needs ray", hint=HINT) from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, include_dashboard=False)
    try:
        slots = int(ray.cluster_resources().get("CPU", 0) / cpus)
        if not slots:
            raise DataError(f"the Ray cluster has no worker with {cpus:g} CPU", hint="ray status shows what it has")
        remote: Any = ray.remote(num_cpus=cpus, max_retries=RETRIES)(work)
        yield from _ordered(ray, remote, iter(tasks), 2 * slots, stall)
    finally:
        if ours:
            ray.shutdown()


def _ordered(ray: Any, remote: Any, tasks: Iterator[Any], window: int, stall: float) -> Iterator[Any]:
    waiting: list[Any] = []
    for task in tasks:
        waiting.append(remote.remote(task))
        if len(waiting) >= window:
            yield _result(ray, waiting.pop(0), waiting, stall)
    while waiting:
        yield _result(ray, waiting.pop(0), waiting, stall)


def _result(ray: Any, first: Any, others: list[Any], stall: float) -> Any:
    before = -1
    while True:
        done, _ = ray.wait([first], timeout=stall)
        if done:
            break
        finished = len(ray.wait(others, num_returns=len(others), timeout=0)[0]) if others else 0
        if finished <= before or not others:
            free = ray.available_resources().get("CPU", 0)
            raise DataError(
                f"the Ray cluster gave no result in {stall:g} seconds; {free:g} CPUs are free",
                hint="other jobs may hold all CPUs: see ray status, and run the same command again",
            )
        before = finished
    try:
        return ray.get(first)
    except ray.exceptions.WorkerCrashedError as error:
        raise WorkerDied(
            f"a Ray worker died {RETRIES + 1} times on the same work, perhaps for want of memory",
            hint="run the same command again: it goes on where it stopped",
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
