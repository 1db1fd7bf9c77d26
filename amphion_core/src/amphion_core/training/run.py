"""``train``: from a recipe to a run folder with weights. What ``amphion train`` calls, and notebooks may."""

from pathlib import Path

import torch

from amphion_core import registry, weights
from amphion_core.data.extraction import complete_features
from amphion_core.data.feature_cache import release_extractors
from amphion_core.data.loader import Corpus
from amphion_core.errors import AmphionError, RecipeError
from amphion_core.recipe import Recipe
from amphion_core.training import checkpoint
from amphion_core.training.engine import Engine
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run_folder import RunFolder, environment
from amphion_core.training.trainer import ModelTrainer


def train(recipe: Recipe, folder: str | Path, *, resume: bool = False) -> Path | None:
    """Run ``recipe`` in ``folder``; returns the folder of the weights, or None when it was interrupted.

    With ``resume`` it goes on where the folder stands. The weights are those of the best checkpoint where the recipe
    monitors a score, else the last; averaged where the recipe asks for averages.
    Raises AmphionError: RecipeError, DataError, WeightsError, or a folder that is in use.
    """
    processes, run = Processes(recipe.engine.device), RunFolder(folder)
    lock = run.locked(resume=resume) if processes.first else None
    if lock is not None:
        lock.__enter__()
    try:
        processes.barrier()
        return _train(recipe, run, processes)
    finally:
        if lock is not None:
            lock.__exit__(None, None, None)


def _train(recipe: Recipe, run: RunFolder, processes: Processes) -> Path | None:
    if recipe.engine.deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    torch.manual_seed(recipe.seed)  # the weights that a network begins with
    trainer = build_trainer(recipe)
    corpora = [
        Corpus(
            recipe.data, split, rate=trainer.sample_rate, seed=recipe.seed, hop=trainer.hop_length,
            features=trainer.features(), training=place == 0,
        )
        for place, split in enumerate(filter(None, (recipe.data.train, recipe.data.dev)))
    ]  # fmt: skip
    report = Report(run, processes)
    if processes.first:
        _complete_features(corpora, report, processes.device)
        run.state(recipe.resolved(), environment(processes.device, processes.world))
    release_extractors()  # every process built them to learn the frame rates
    processes.barrier()
    engine = Engine(recipe, trainer, corpora[0], corpora[1] if len(corpora) > 1 else None, run, processes)
    try:
        engine.train(report)
    finally:
        report.close()
    if engine.position.step <= recipe.engine.steps and engine.stopping:
        return None
    return _export(engine) if processes.first else run.path / "weights"


def build_trainer(recipe: Recipe) -> ModelTrainer:
    """The recipe's trainer around a new model. Raises RecipeError when the recipe has none."""
    if recipe.trainer is None:
        raise RecipeError(f"{recipe.name} has no trainer", hint="a recipe that trains states trainer: {name: ...}")
    trainer: ModelTrainer = recipe.trainer.build(model=recipe.model.build())
    return trainer


def _complete_features(corpora: list[Corpus], report: Report, device: torch.device) -> None:
    """Compute the cached features that are missing, with progress."""
    from rich.progress import Progress

    caches = [cache for corpus in corpora for group in corpus.caches.values() for cache in group]
    if any(cache.missing() for cache in caches):
        with Progress(console=report.console) as bars:
            bar = bars.add_task("features", total=None)
            for progress in complete_features(caches, device=device.type):
                bars.update(bar, completed=progress.done, total=progress.total, description=progress.name or "features")


def _export(engine: Engine) -> Path:
    """The trained model as a weights folder in the run, of the best checkpoint if one is known."""
    best, folder = engine.best["step"], engine.run.path / "weights"
    model, networks = engine.trainer.model, engine.networks
    name = next((name for name, network in networks.items() if network is model), None)
    if name is None:
        raise AmphionError("the trainer does not train the recipe's model")
    averaged = engine.trainer.ema.get(name)
    state = (averaged or networks[name]).state_dict()
    if best is not None and best != engine.position.step - 1:
        tensors, _ = checkpoint.read(engine.run.checkpoints / f"step-{best}")
        kind = tensors["ema" if averaged is not None else "networks"]
        state = {key.removeprefix(f"{name}."): value for key, value in kind.items() if key.startswith(f"{name}.")}
    weights.load_state(model, state, what=name)
    if folder.exists():
        import shutil

        shutil.rmtree(folder)
    step = best or engine.position.step - 1
    title = registry.name_of(type(model))
    return weights.save(model, folder, card=f"# {title}\n\nRecipe {engine.recipe.name}, {step} steps.\n")
