"""Timing that survives a noisy machine: candidates take turns, medians and ratios are of the same minutes."""

import statistics
import time
from collections.abc import Callable


def medians(candidates: dict[str, Callable[[], object]], *, rounds: int = 7) -> dict[str, float]:
    """Median seconds of each candidate, run in turn ``rounds`` times after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for run in candidates.values():
        run()
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def matmul_rate(dtype: object = None, size: int = 1024) -> float:
    """The machine's matrix products, floating-point operations a second, at the present thread count."""
    import torch

    a = torch.randn(size, size, dtype=dtype or torch.float32)  # type: ignore[arg-type]
    seconds = medians({"matmul": lambda: a @ a}, rounds=15)["matmul"]
    return 2 * size**3 / seconds
