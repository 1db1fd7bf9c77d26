"""Whole processes from start to end: `amphion tts "..."` against the `piper` command, the same voice and text.

Prints the table of docs/performance.md: medians of processor time (user and system) and of time on the clock. The
commands run in turn, after one run of each that is not counted. "Busy" means that another process computes without
pause on one core. Beside them stands a process that only imports torch. Needs the extra amphion-tts[voice]. The package
piper-tts belongs into a separate environment; without it only our command is measured. Linux only.
Run: python benchmarks/first_sound.py [number of rounds, default 7] [path of the command piper]
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from side_by_side import busy_process

from amphion_core import cards

VOICE = "tts/vits@piper-en-us-joe"
SHORT = "The quick brown fox jumps over the lazy dog."
LONG = " ".join(
    f"{SHORT} She sells sea shells by the sea shore. The rain in Spain stays mainly in the plain, as {name} says."
    for name in ("Anna", "Peter", "Mary", "John")
)
BYTECODE = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: Sequence[str], cores: set[int]) -> tuple[float, float]:
    """Processor time and time on the clock of one process on these cores, in seconds. RuntimeError if it fails."""
    start = time.perf_counter()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # the new process takes over the cores of this one
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=BYTECODE)
    os.sched_setaffinity(0, before)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - start


def medians(commands: dict[str, Sequence[str]], cores: set[int], rounds: int) -> dict[str, tuple[float, float]]:
    """The medians of both times for each command. They run in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            found = run(command, cores)
            if number:
                times[name].append(found)
    return {
        name: (statistics.median(a for a, _ in each), statistics.median(b for _, b in each))
        for name, each in times.items()
    }


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    piper = sys.argv[2] if len(sys.argv) > 2 else shutil.which("piper")
    available = sorted(os.sched_getaffinity(0))
    print("| text | cores | others | torch alone | amphion tts | piper | amphion / piper |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("short", SHORT), ("long", LONG)):
            amphion = str(Path(sys.executable).with_name("amphion"))
            commands: dict[str, Sequence[str]] = {
                "torch": (sys.executable, "-c", "import torch"),
                "ours": (amphion, "tts", text, "--model", VOICE, "-o", f"{folder}/ours.wav"),
            }
            if piper:
                commands["piper"] = (
                    piper,
                    "-m",
                    str(cards.find(VOICE).path()),
                    "-f",
                    f"{folder}/piper.wav",
                    "--",
                    text,
                )
            for count in sorted({1, min(2, len(available))}):
                for busy in (False, True):
                    with busy_process(busy):
                        found = medians(commands, {*available[:count]}, rounds)
                    cells = [f"{cpu:.2f} s, {wall:.2f} s" for cpu, wall in found.values()]
                    if piper:
                        ratios = (ours / theirs for ours, theirs in zip(found["ours"], found["piper"], strict=True))
                        cells.append(", ".join(f"{ratio:.2f}" for ratio in ratios))
                    print(f"| {name} | {count} | {'busy' if busy else 'idle'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
