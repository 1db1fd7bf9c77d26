"""Work spread over a Ray cluster, where one computer is not enough. It gives the results of `spread`.

Needs the extra amphion-core[ray]. Tasks must name files by paths that every computer of the cluster can read, and the
distributions that a task uses must be installed on each computer. The environment variable ``RAY_ADDRESS`` names the
cluster; without it, a cluster is started on this computer.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from amphion_core.data.spread import Result, Task, WorkerDied
from amphion_core.errors import DataError, MissingPackage

RETRIES = 3  # how often a task is tried again after its worker died
STALL = 600.0  # seconds without any result after which the work ends with an error
HINT = 'pip install "amphion-core[ray]"'


def spread_on_ray(
    work: Callable[[Task], Result], tasks: Iterable[Task], *, cpus: float = 1.0, gpu: bool = False, stall: float = STALL
) -> Iterator[Result]:
    """The results of ``work`` for every task, in the order of the tasks; ``work`` and tasks must pickle.

    At most twice as many tasks are submitted as can run at once. With ``gpu`` each task gets one GPU, if the cluster
    has any. A task whose worker dies is tried again three times; then WorkerDied is raised. Raises what ``work``
    raises, DataError for a cluster without CPUs and for one that gives no result in ``stall`` seconds, and
    MissingPackage without ray.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingPackage("work on a cluster needs ray", hint=HINT) from error
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False, include_dashboard=False)
    try:
        resources = ray.cluster_resources()
        slots = int(resources.get("CPU", 0) / cpus)
        if not slots:
            raise DataError(f"the Ray cluster has no worker with {cpus:g} CPU", hint="ray status shows what it has")
        gpus = int(gpu and resources.get("GPU", 0) >= 1)

        def call(task: Task) -> Result:  # ray takes functions only, not a partial
            return work(task)

        remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(call)
        yield from _ordered(ray, remote, iter(tasks), 2 * slots, stall)
    finally:
        if started_here:
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
            f"a Ray worker died {RETRIES + 1} times on the same work, perhaps because the memory was full",
            hint="run the same command again: it continues where it stopped",
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
