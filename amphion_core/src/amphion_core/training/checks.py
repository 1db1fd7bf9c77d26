"""What is checked before a run begins, so that it does not fail hours later. All problems are reported together."""

from collections.abc import Collection, Mapping

from amphion_core.errors import AmphionError, RecipeError, listed
from amphion_core.recipe import Recipe
from amphion_core.training.trainer import ModelTrainer


def check_start(recipe: Recipe, trainer: ModelTrainer, paths: Mapping[str, str | None], world: int) -> None:
    """Check the recipe against its trainer, whose networks lie in the model at ``paths``, and ``world`` processes.

    Raises RecipeError that lists all problems, AmphionError for a trainer that trains no part of the model.
    """
    if all(path is None for path in paths.values()):
        raise AmphionError(
            "the trainer trains no part of the recipe's model",
            hint="its networks() must return the model, or modules of it",
        )
    engine, names = recipe.engine, {network.partition(".")[0]: None for network in paths}
    problems = []
    if engine.micro_batches % world:
        count = f"{engine.micro_batches} micro-batches"
        problems.append(f"engine.micro_batches: {count} a step cannot be shared by {world} processes")
    for field, given in (("engine.ema", engine.ema), ("optim.groups", recipe.optim.groups)):
        for name in given.keys() - names:
            problems.append(f"{field}: {name!r} is no network of this trainer; networks: {', '.join(names)}")
    problems += _of_monitor(recipe, trainer)
    if problems:
        raise RecipeError(listed(f"recipe {recipe.name}", problems))


def _of_monitor(recipe: Recipe, trainer: ModelTrainer) -> list[str]:
    """Problems of ``engine.monitor``: no such score, or one of which neither more nor less is better."""
    monitor, known = recipe.engine.monitor, trainer.higher_is_better
    if monitor is None:
        return []
    usable = ", ".join(name for name, direction in known.items() if direction is not None) or "none"
    if monitor not in known:
        return [f"engine.monitor: there is no score {monitor!r}; scores of this run: {usable}"]
    if known[monitor] is None:
        return [
            f"engine.monitor: neither more nor less is better for the score {monitor!r}, so no checkpoint is the best;"
            f" scores that can be monitored: {usable}"
        ]
    return []


def check_score(monitor: str | None, scores: Collection[str]) -> None:
    """Raises RecipeError unless ``monitor``, if there is one, is among the ``scores`` of a validation."""
    if monitor is not None and monitor not in scores:
        raise RecipeError(
            f"engine.monitor: validation gives no score {monitor!r}", hint=f"scores: {', '.join(scores) or 'none'}"
        )
