"""Validation of a run: scores of all validation items, the same for any number of processes."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from amphion_core.data.batch import Batch
from amphion_core.data.loader import MicroBatch
from amphion_core.training.trainer import ModelTrainer, Validation

SHOWN = 3  # validation items of each process whose audio and pictures are kept


@torch.no_grad()
def validate(
    trainer: ModelTrainer,
    batches: Iterable[tuple[MicroBatch, Batch]],
    *,
    prepare: Callable[[int, Batch], Batch],
    context: Callable[[], Any],
    on_item: Callable[[int], None] = lambda count: None,
) -> tuple[list[tuple[int, Mapping[str, list[float]]]], dict[str, dict[str, Any]]]:
    """Run ``validation_step`` on this process's ``batches``.

    ``prepare`` seeds the generators for a batch, by its number, and moves it to the device; ``context`` makes the
    context manager of the forward pass; ``on_item`` is called with the number of batches done.
    Returns the scores with the number of their batch, and the audio and pictures of the first items.
    """
    scores: list[tuple[int, Mapping[str, list[float]]]] = []
    samples: dict[str, dict[str, Any]] = {"audio": {}, "pictures": {}}
    for micro, batch in batches:
        batch.totals = batch.counts
        ready = prepare(micro.number, batch)
        with context():
            found: Validation = trainer.validation_step(ready)
        scores.append((micro.number, {name: [float(value) for value in row] for name, row in found.scores.items()}))
        if len(scores) <= SHOWN:
            samples["audio"] |= found.audio
            samples["pictures"] |= found.pictures
        on_item(len(scores))
    return scores, samples


def averages(scores: Iterable[Mapping[str, list[float]]]) -> dict[str, float]:
    """The mean of each score over the items for which it is defined; a score without such items is left out."""
    values: dict[str, list[float]] = {}
    for row in scores:
        for name, found in row.items():
            values.setdefault(name, []).extend(value for value in found if math.isfinite(value))
    return {name: math.fsum(found) / len(found) for name, found in values.items() if found}
