"""What each recipe of a vocoder learns in the same processor time: scores of copies of recordings it has not heard.

Each recipe trains on one thread until its process has used the minutes, start included; its learning rate stays
constant after the warm-up. Then it copies items of the split ``test`` (or ``dev``), and metrics compare these with the
recordings. Griffin-Lim with each mel is measured beside them.
Run: python benchmarks/vocoder_learning.py PREPARED_FOLDER MINUTES RECIPE [RECIPE ...] [--out FOLDER] [--items 12]
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.api import Audio, Metric, MetricPart
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader

METRICS = ("pesq_wb", "m_stft", "mcd")
CLOCK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared")
    parser.add_argument("minutes", type=float)
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--also", nargs="*", default=[], help="vocoders to measure without training")
    parser.add_argument("--out", default="vocoder_learning")
    parser.add_argument("--items", type=int, default=12)
    args = parser.parse_args()
    sounds = recordings(args.prepared, args.items)
    metrics = [MetricPart.named(name).build() for name in METRICS]
    print(f"| vocoder | steps | {' | '.join(METRICS)} |\n| --- |{' --- |' * (1 + len(METRICS))}")
    for name in args.also:
        print(row(name, "", name, sounds, metrics), flush=True)
    for name in args.recipes:
        run = Path(args.out, name)
        steps = trained(name, args.prepared, run, 60 * args.minutes)
        print(row(name, str(steps), str(run), sounds, metrics), flush=True)


def recordings(prepared: str, items: int) -> list[Audio]:
    """The first items of the split test, else dev."""
    split, reader = ("test" if Path(prepared, "test.jsonl").exists() else "dev"), Reader()
    records = [record for record, _ in zip(Manifest(prepared, split), range(items), strict=False)]
    return [Audio(reader.read(record.utterance, record.rate), record.rate) for record in records]


def trained(name: str, prepared: str, run: Path, seconds: float) -> int:
    """Train ``name`` in ``run`` until its process has worked ``seconds``; returns the number of steps."""
    schedule = recipes.read(name).optim.schedule
    command = [sys.executable, "-m", "amphion_core.cli.main", "train"]
    changes = [
        f"data.root={prepared}", "data.dev=null", "data.resample=true", "data.workers=0", "trainer.metrics=[]",
        "engine.steps=1000000", "engine.save_every=1000000", "engine.monitor=null", "engine.ema={}",
        f"optim.schedule={{name: constant, warmup: {schedule.warmup}}}",
    ]  # fmt: skip
    run.parent.mkdir(parents=True, exist_ok=True)
    with run.with_suffix(".log").open("w") as log:
        how: dict[str, Any] = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "stdout": log, "stderr": log}
        process = subprocess.Popen([*command, name, *changes, "--out", str(run)], **how)
        while process.poll() is None and processor_seconds(process.pid) < seconds:
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.wait()
        steps = max(int(path.name.rpartition("-")[2]) for path in (run / "checkpoints").iterdir())
        subprocess.run([*command, str(run), "--resume", f"engine.steps={steps}"], **how)
    return steps


def processor_seconds(pid: int) -> float:
    """The processor time of process ``pid`` so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


def row(name: str, steps: str, model: str, sounds: list[Audio], metrics: list[Metric]) -> str:
    """A line of the table: the mean of each metric over the copies."""
    task = amphion.task("vocoder", model=model)
    pairs = [(task.generate(sound), sound) for sound in sounds]
    means = []
    for metric in metrics:
        rate = metric.sample_rate or pairs[0][0].sample_rate
        scores = [metric.measure(copy.resample(rate), sound.resample(rate)) for copy, sound in pairs]
        means.append(metric.aggregate(scores).value)
    return f"| {name} | {steps} | {' | '.join(f'{mean:.2f}' for mean in means)} |"


if __name__ == "__main__":
    main()
