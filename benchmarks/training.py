"""Overhead of the engine: its steps against a plain loop over the same network, losses and optimisers.

Both process the same batches, alternately, in one process with one thread. The ratio is of CPU time, so that other
processes on the computer do not change it; the time of a step is that of the clock.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes
from amphion_core.data.loader import Corpus, Position, training_batches
from amphion_core.data.prepare import prepare
from amphion_core.training.engine import Engine
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run import build_trainer
from amphion_core.training.run_folder import RunFolder

STEPS, ROUNDS = 10, 9


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "corpus").mkdir()
        random = np.random.default_rng(0)
        for number in range(40):
            soundfile.write(folder / "corpus" / f"{number}.wav", random.uniform(-0.3, 0.3, 44100), 22050)
        reader = amphion.get("datasets", "folder")
        list(prepare(reader(reader.Config(root=str(folder / "corpus"))), folder / "corpus", folder / "data"))
        recipe = recipes.check({
            "name": "bench", "audio": "hifigan_22k_80", "model": {"name": "vocoder/hifigan@v3", "channels": 64},
            "data": {"root": str(folder / "data"), "crop": 8192, "budget": 1.5, "dev": None},
            "trainer": {"name": "gan_vocoder", "discriminators": [{"name": "discriminator/mpd", "channels": 2}]},
            "optim": {"betas": [0.8, 0.99]}, "engine": {"device": "cpu", "log_every": 10, "steps": 10**6},
        })  # fmt: skip
        run, processes = RunFolder(folder / "run"), Processes("cpu")
        run.path.mkdir()
        trainer, plain = build_trainer(recipe), build_trainer(recipe)
        corpus = Corpus(recipe.data, "train", rate=22050, seed=0)
        engine = Engine(recipe, trainer, corpus, None, run, processes)
        report = Report(run, processes)
        pending: list = []
        source = training_batches(corpus, trainer.collator(), Position(), micro_batches=1, workers=0)
        steppers = {
            name: torch.optim.AdamW(network.parameters(), 2e-4, (0.8, 0.99), fused=True)
            for name, network in plain.networks().items()
        }
        report.start(0, 10**6, corpus)

        def through_the_engine(batches: list) -> None:
            for number, pair in enumerate(batches):
                pending.append(engine.step(number + 1, [pair]))
            engine._flush(pending, report)

        def plain_loop(batches: list) -> None:
            for _, batch in batches:
                batch.totals = batch.counts
                for update in plain.training_step(batch, 1):
                    steppers[update.group].zero_grad()
                    update.loss.backward(inputs=list(plain.networks()[update.group].parameters()))
                    steppers[update.group].step()

        def seconds(run: object, batches: list) -> tuple[float, float]:
            """CPU time and time of the clock."""
            start, began = time.process_time(), time.perf_counter()
            run(batches)  # type: ignore[operator]
            return time.process_time() - start, time.perf_counter() - began

        ratios, times = [], []
        for number in range(ROUNDS + 1):
            batches = [next(source) for _ in range(STEPS)]
            order = (plain_loop, through_the_engine) if number % 2 else (through_the_engine, plain_loop)
            found = {one: seconds(one, batches) for one in order}
            if number:  # the first warms up
                ratios.append(found[through_the_engine][0] / found[plain_loop][0])
                times.append(found[plain_loop][1] / STEPS)
        report.close()
        print(f"plain loop: {1000 * statistics.median(times):.0f} ms a step")
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"engine / plain loop: {statistics.median(ratios):.3f} (median of {ROUNDS} paired rounds; {spread})")


if __name__ == "__main__":
    main()
