"""Milliseconds of one training step of each recipe, with the recipe's own batch, on one prepared folder.

The audio is resampled to the recipe's rate. Loading of audio is not measured. The step is measured with everything that
the recipe trains from the start; `trainer.discriminator_start=1` is set where a recipe waits with its discriminators.
Run: python benchmarks/training_steps.py PREPARED_FOLDER RECIPE [RECIPE ...] [--set engine.precision=bf16] [--steps 10]
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from amphion_core import recipe as recipes
from amphion_core.data.loader import Corpus, Position, training_batches
from amphion_core.errors import AmphionError
from amphion_core.training.device import settings
from amphion_core.training.engine import Engine
from amphion_core.training.processes import Processes
from amphion_core.training.run import build_trainer, complete_model
from amphion_core.training.run_folder import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared")
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    print("| recipe | audio a step, s | ms a step | parameters of the model, M |\n| --- | --- | --- | --- |")
    for name in args.recipes:
        try:
            print(measured(name, args.prepared, args.set, args.steps), flush=True)
        except AmphionError as error:
            print(f"| {name} | {error} | | |", flush=True)


def measured(name: str, prepared: str, overrides: list[str], steps: int) -> str:
    """A line of the table."""
    changes = [f"data.root={prepared}", "data.resample=true", "data.dev=null", "data.workers=0", "trainer.metrics=[]"]
    recipe = recipes.read(name, [*changes, "engine.monitor=null", *overrides])
    if hasattr(recipe.trainer.config, "discriminator_start"):  # type: ignore[union-attr]
        recipe = recipes.read(name, [*changes, "engine.monitor=null", "trainer.discriminator_start=1", *overrides])
    with tempfile.TemporaryDirectory() as folder, settings(recipe.engine):
        run, processes = RunFolder(Path(folder, "run")), Processes(recipe.engine.device)
        recipe = complete_model(recipe, run, processes)
        torch.manual_seed(0)
        trainer = build_trainer(recipe)
        corpus = Corpus(
            recipe.data, "train", rate=trainer.sample_rate, seed=0, hop=trainer.hop_length, features=trainer.features(),
            unusable=trainer.unusable,
        )  # fmt: skip
        engine = Engine(recipe, trainer, corpus, None, run, processes)
        micro = recipe.engine.micro_batches
        source = training_batches(corpus, trainer.collator(), Position(), micro_batches=micro, workers=0)
        group = [next(source) for _ in range(micro)]
        times = []
        for number in range(3 + steps):
            start = time.perf_counter()
            engine.step(1, group)
            if processes.device.type == "cuda":
                torch.cuda.synchronize()
            if number >= 3:
                times.append(1000 * (time.perf_counter() - start))
        seconds = sum(batch["wave"].numel() for _, batch in group) / trainer.sample_rate
        millions = sum(p.numel() for p in trainer.model.parameters()) / 1e6
    return f"| {name} | {seconds:.1f} | {statistics.median(times):.0f} | {millions:.1f} |"


if __name__ == "__main__":
    main()
