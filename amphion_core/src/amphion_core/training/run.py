"""``train``: from a recipe to a run folder with weights. ``amphion train`` calls it, and notebooks can."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from amphion_core import registry
from amphion_core.config import BaseConfig
from amphion_core.data.extraction import complete_features
from amphion_core.data.facts import CorpusFacts
from amphion_core.data.feature_cache import release_extractors
from amphion_core.data.loader import Corpus, clear_loader_errors
from amphion_core.data.paths import absolute
from amphion_core.data.spread import exit_while_importing_main
from amphion_core.data.usable import SHOWN, left_out_lines
from amphion_core.errors import DataError, RecipeError, counted
from amphion_core.parts import ModelPart, Part
from amphion_core.recipe import Recipe
from amphion_core.system_errors import clear_errors
from amphion_core.training import resume as resumed
from amphion_core.training.device import compile_networks, settings
from amphion_core.training.engine import Engine
from amphion_core.training.export import export
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run_folder import RunFolder, environment
from amphion_core.training.trainer import ModelTrainer


@clear_errors
def train(recipe: Recipe, folder: str | Path, *, resume: bool = False) -> Path | None:
    """Run ``recipe`` in ``folder``. Returns the folder of the weights, or None when it was interrupted.

    With ``resume`` it continues from the newest checkpoint in the folder. The weights are those of the best checkpoint
    where the recipe monitors a score, else the last; averages where the recipe asks for them.
    Raises AmphionError: RecipeError, DataError, DeviceError, WeightsError, or a folder that is in use.
    """
    exit_while_importing_main()  # this process may be a loader of a run that the main script started
    recipe = with_absolute_paths(recipe)
    processes, run = Processes(recipe.engine.device), RunFolder(folder)
    with run.locked(resume=resume) if processes.first else nullcontext():
        processes.barrier()
        with settings(recipe.engine):
            return _train(recipe, run, processes)


def _train(recipe: Recipe, run: RunFolder, processes: Processes) -> Path | None:
    changed = resumed.check_changes(recipe, run) if run.has_checkpoints else []
    _check_roots(recipe, run)
    recipe = complete_model(recipe, run, processes)
    torch.manual_seed(recipe.seed)  # for the random weights of a new network
    trainer = build_trainer(recipe)
    corpora = [
        Corpus(
            recipe.data, split, rate=trainer.sample_rate, seed=recipe.seed, hop=trainer.hop_length,
            features=trainer.features(), training=index == 0, unusable=trainer.unusable,
            partners=trainer.validation_partners if index else None,
        )
        for index, split in enumerate(filter(None, (recipe.data.train, recipe.data.dev)))
    ]  # fmt: skip
    report = Report(run, processes)
    for split, corpus in zip((recipe.data.train, recipe.data.dev), corpora, strict=False):
        for line in left_out_lines(str(split), corpus.reasons):
            report.warn(line)
    if len(speakers := getattr(recipe.model.config, "speakers", ())) > 1:
        report.note(f"{len(speakers)} speakers: {', '.join(speakers[:SHOWN])}{' ...' if len(speakers) > SHOWN else ''}")
    for remark in trainer.corpus_remarks(corpora[0].seconds, fine_tuning=recipe.engine.init_from is not None):
        report.warn(remark)
    if processes.first:
        _complete_features(corpora, report, processes.device)
    release_extractors()  # each process built them to read the frame rates
    processes.barrier()
    engine = Engine(recipe, trainer, corpora[0], corpora[1] if len(corpora) > 1 else None, run, processes)
    engine.prepare(report)
    begin = engine.state.step
    _check_length(recipe, begin, run)
    if processes.first:  # everything is accepted; nothing was written into the run folder before
        run.describe(recipe.resolved(), environment(processes.device, processes.world))
    for text in changed:
        report.note(f"changed: {text}")
    processes.barrier()
    if recipe.engine.compile:
        compile_networks(engine.networks)
    with clear_loader_errors():  # torch may raise its error again while the report is closed
        try:
            engine.train(report)
        finally:
            report.close()
    if engine.stopping and engine.state.step < recipe.engine.steps:
        return None
    if engine.state.step == begin:
        report.note(_how_to_go_on(recipe, begin, run))
    if not processes.first:
        return run.path / "weights"
    vocoder = getattr(trainer.config, "vocoder", None)
    return export(trainer.model, engine.state, run, recipe=recipe, vocoder=vocoder)


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """``recipe`` with absolute paths of folders, so that its run can be resumed from another folder.

    These are the prepared folders, and the folders of weights that ``engine.init_from`` or a field of the model, of the
    trainer or of their parts names.
    """

    def whole(path: str) -> str:
        return str(absolute(Path(path).expanduser()))

    data, given = recipe.data, recipe.engine.init_from
    roots = tuple(source.replace(root=whole(source.root)) for source in data.root)
    data = data.model_copy(update={"root": roots, "cache": whole(data.cache) if data.cache else None})
    if isinstance(given, str):
        given = whole(given) if _is_folder_of_weights(given) else given
    elif given is not None:
        given = {
            name: one.replace(source=whole(one.source)) if _is_folder_of_weights(one.source) else one
            for name, one in given.items()
        }
    engine = recipe.engine.model_copy(update={"init_from": given})
    parts = {"model": _with_absolute_folders(recipe.model), "trainer": _with_absolute_folders(recipe.trainer)}
    return recipe.model_copy(update={"data": data, "engine": engine, **parts})


def _with_absolute_folders(value: Any) -> Any:
    """A config, a part, or several of them, with absolute paths where a field names a folder of weights."""
    if isinstance(value, Part):
        config = _with_absolute_folders(value.config)
        return value if config is value.config else type(value)(value.name, config)
    if isinstance(value, tuple):
        found = [_with_absolute_folders(one) for one in value]
        return value if all(new is old for new, old in zip(found, value, strict=True)) else tuple(found)
    if not isinstance(value, BaseConfig):
        return value
    changed: dict[str, Any] = {}
    for name in type(value).model_fields:
        given = getattr(value, name)
        if isinstance(given, str):
            new: Any = str(absolute(Path(given).expanduser())) if given and _is_folder_of_weights(given) else given
        else:
            new = _with_absolute_folders(given)
        if new is not given:
            changed[name] = new
    return value.model_copy(update=changed) if changed else value


def _is_folder_of_weights(place: str) -> bool:
    """Whether ``place`` is a folder, and not the name of a card."""
    folder = os.path.expanduser(place)  # noqa: PTH111 - Path.is_file raises for a name that is too long
    return any(os.path.isfile(f"{folder}/{name}") for name in ("config.yaml", "SHA256SUMS"))  # noqa: PTH113


def _check_roots(recipe: Recipe, run: RunFolder) -> None:
    """Raises DataError when a prepared folder of a run that exists already is not there any more."""
    if not (run.path / "config.yaml").is_file():
        return
    for index, source in enumerate(recipe.data.root):
        if not Path(source.root).is_dir():
            field = "data.root" if len(recipe.data.root) == 1 else f"data.root.{index}.root"
            raise DataError(
                f"there is no prepared folder {source.root}, on which the run {run.path} is trained",
                hint=f"if it has moved: amphion train {run.path} --resume {field}=FOLDER",
            )


def _check_length(recipe: Recipe, step: int, run: RunFolder) -> None:
    """Raises RecipeError when the run has more steps than the recipe wants."""
    if step > recipe.engine.steps:
        wanted = counted(recipe.engine.steps, "step")
        raise RecipeError(
            f"engine.steps: the recipe wants {wanted}, and the run {run.path} has {step} already",
            hint=f"to train longer: amphion train {run.path} --resume engine.steps={2 * step}",
        )


def _how_to_go_on(recipe: Recipe, step: int, run: RunFolder) -> str:
    """What is said of a run that is finished when it is resumed."""
    change = f"engine.steps={2 * step}"
    why = f"all {step} steps are done" if step > 1 else "its one step is done"
    if step < recipe.engine.steps:
        why, change = (
            f"no better score in {recipe.engine.patience} validations, after step {step}",
            "engine.patience=null",
        )
    return f"the run is finished: {why}; to train longer: amphion train {run.path} --resume {change}"


def build_trainer(recipe: Recipe) -> ModelTrainer:
    """The recipe's trainer around a new model.

    Raises RecipeError when the recipe has no trainer, UnknownComponent when the model could not be saved at the end
    because its class is not installed.
    """
    if recipe.trainer is None:
        raise RecipeError(f"{recipe.name} has no trainer", hint="a recipe that trains states trainer: {name: ...}")
    trainer: ModelTrainer = recipe.trainer.build(model=recipe.model.build())
    registry.name_of(type(trainer.model))
    return trainer


def complete_model(recipe: Recipe, run: RunFolder, processes: Processes) -> Recipe:
    """``recipe`` with the model's config completed from the corpus: names of speakers, symbols, statistics.

    A run that has checkpoints keeps the config that it began with. The first process computes it, because computing may
    write cached features; then the others do the same.
    Raises RecipeError when the recipe states another model than the run has, and what ``config_for`` raises.
    """
    if run.has_checkpoints:
        model = _same_model(recipe.model, resumed.stored_recipe(run).model)
    else:
        if not processes.first:
            processes.barrier()
        architecture = registry.get("models", recipe.model.name)
        facts = CorpusFacts(recipe.data, device=processes.device.type)
        model = ModelPart(recipe.model.name, architecture.config_for(recipe.model.config, facts))
        if processes.first:
            processes.barrier()
    return recipe.model_copy(update={"model": model})


def _same_model(stated: ModelPart, stored: ModelPart) -> ModelPart:
    """``stored``, the run's model. Raises RecipeError for fields to which the recipe gives another value."""
    if changed := [*_contradictions("model", stated, stored)]:
        raise RecipeError(
            f"the run has another model than the recipe: {'; '.join(changed)}",
            hint="leave these fields as they are in the run, or choose another --out",
        )
    return stored


def _contradictions(path: str, stated: Any, stored: Any) -> Iterator[str]:
    """The fields that ``stated`` sets to other values than ``stored`` has. Fields that it does not set may differ."""
    if isinstance(stated, Part) and isinstance(stored, Part):
        if stated.name != stored.name:
            yield f"{path} is {stored.name} in the run and {stated.name} in the recipe"
        else:
            yield from _contradictions(path, stated.config, stored.config)
    elif isinstance(stated, BaseConfig) and type(stated) is type(stored):
        for name in sorted(stated.model_fields_set):
            yield from _contradictions(f"{path}.{name}", getattr(stated, name), getattr(stored, name))
    elif stated != stored:
        yield f"{path} is {stored!r} in the run and {stated!r} in the recipe"


def _complete_features(corpora: list[Corpus], report: Report, device: torch.device) -> None:
    """Compute the cached features that are missing, with progress."""
    from rich.progress import Progress

    caches = [cache for corpus in corpora for group in corpus.caches.values() for cache in group]
    if any(cache.missing() for cache in caches):
        with Progress(console=report.console) as bars:
            bar = bars.add_task("features", total=None)
            for progress in complete_features(caches, device=device.type):
                bars.update(bar, completed=progress.done, total=progress.total, description=progress.name or "features")
