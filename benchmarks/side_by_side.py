"""Timing on a noisy machine: the candidates take turns, so that medians and ratios come from the same minutes."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def medians(
    candidates: dict[str, Callable[[], object]], *, rounds: int = 7, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each candidate by ``clock``. Each runs once before, then all in turn ``rounds`` times."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for _ in range(rounds):
        for name, run in candidates.items():
            start = clock()
            run()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


@contextmanager
def busy_process(wanted: bool = True) -> Iterator[None]:
    """Keep one core busy with another process while the block runs; without ``wanted``, do nothing."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def matmul_rate(dtype: object = None, size: int = 1024) -> float:
    """Floating-point operations per second of a matrix product on torch's present number of threads."""
    import torch

    a = torch.randn(size, size, dtype=dtype or torch.float32)  # type: ignore[arg-type]
    seconds = medians({"matmul": lambda: a @ a}, rounds=15)["matmul"]
    return 2 * size**3 / seconds
