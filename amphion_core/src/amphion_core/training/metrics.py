"""Metrics of the registry as scores of a validation, for trainers that list them in their config."""

from collections.abc import Mapping, Sequence

import torch

from amphion_core.audio import Audio
from amphion_core.component import Metric
from amphion_core.errors import DataError, MissingPackage, RecipeError, WeightsError
from amphion_core.parts import MetricPart


def validation_metrics(parts: Sequence[MetricPart], compared: frozenset[str], has: str) -> dict[str, Metric]:
    """The metrics by name. ``compared`` are the needs that a validation can fulfil; ``has`` says so in words.

    Raises RecipeError for a metric of sets, or one that needs more.
    """
    metrics: dict[str, Metric] = {part.name: part.build() for part in parts}
    for name, metric in metrics.items():
        if metric.of_sets or not metric.needs <= compared:
            needs = "whole sets of files" if metric.of_sets else ", ".join(sorted(metric.needs))
            raise RecipeError(
                f"trainer.metrics: {name} needs {needs}, and a validation has {has}",
                hint="leave it out, and use amphion eval after the training",
            )
    return metrics


def validation_score(
    metrics: Mapping[str, Metric], name: str, made: Audio, real: Audio, text: str = "", prompt: Audio | None = None
) -> float:
    """The value of the metric ``name`` for one item, of what it needs; NaN where it is not defined.

    ``real`` is the item's recording, ``prompt`` is the one that the model imitated.

    Raises RecipeError when its package or its weights are missing, with the override that leaves it out.
    """
    metric = metrics[name]
    rate = metric.sample_rate or made.sample_rate
    compared = real if "reference" in metric.needs else prompt if "prompt" in metric.needs else None
    reference = None if compared is None else compared.resample(rate)
    try:
        with torch.autocast("cpu", enabled=False):  # engine.precision concerns the trained model, not its judges
            return float(metric.score(made.resample(rate), reference, text=text if "text" in metric.needs else None))
    except DataError:
        return float("nan")
    except (MissingPackage, WeightsError) as error:
        without = f"trainer.metrics=[{', '.join(each for each in metrics if each != name)}] trains without {name}"
        raise RecipeError(
            f"trainer.metrics: {name} cannot be computed: {error.message}",
            hint="; ".join(filter(None, (error.hint, without))),
        ) from error
