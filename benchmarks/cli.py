"""CPU time that ``amphion list`` and ``amphion --help`` take with all plugins, compared with a bare interpreter.

Run: python benchmarks/cli.py
"""

import os
import statistics
import subprocess
import sys

RUNS = 15


def cpu_time(words: list[str]) -> float:
    """Median user and system seconds of a command."""
    times = []
    for _ in range(RUNS):
        before = os.times()
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(times)


def main() -> None:
    bare = cpu_time([sys.executable, "-c", "pass"])
    print(f"bare interpreter: {bare * 1e3:.0f} ms of CPU time")
    for words in (["--help"], ["list"], ["list", "--json"], ["list", "--pretrained"]):
        value = cpu_time([sys.executable, "-m", "amphion_core.cli.main", *words])
        print(f"amphion {' '.join(words):18} {value * 1e3:4.0f} ms, {value / bare:.1f} x the bare interpreter")


if __name__ == "__main__":
    main()
