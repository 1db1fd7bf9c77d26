"""The batch plan: which items form which step of an epoch. Every process computes the same plan.

Items are sorted by duration, with some random jitter, and cut into micro-batches: the longest duration times the number
of items stays within a budget of seconds. M neighbouring micro-batches, which need nearly equal work, form a step. Then
the steps are shuffled. If the number of micro-batches is not a multiple of M, the remaining ones are not used; they are
chosen from another part of the sorted order in every epoch, so that the longest items are not always the ones lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from amphion_core.errors import DataError, counted

Items = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """One epoch: ``steps[s][m]`` are the item numbers of micro-batch m of step s."""

    steps: list[list[Items]]

    def __len__(self) -> int:
        return len(self.steps)


def plan_epoch(
    durations: Sequence[np.ndarray[Any, Any]],
    *,
    budget: float,
    micro_batches: int,
    seed: int,
    epoch: int,
    weights: Sequence[float] | None = None,
    crop: float | None = None,
    jitter: float = 0.1,
) -> BatchPlan:
    """The steps of an epoch over several corpora; the items of all corpora are numbered one after the other.

    ``durations`` are seconds, one array for each corpus. ``budget`` is the seconds of a micro-batch, padding included.
    ``crop`` is the largest number of seconds used of an item. ``weights`` are the shares of the corpora in the audio
    time of an epoch, which is as long as all corpora together; None: every item once.
    Raises DataError when no item fits the budget.
    """
    random = np.random.default_rng([seed, epoch, 0x6261746368])
    chosen = _choose(durations, weights, random)
    seconds = np.concatenate(list(durations)).astype(np.float64)[chosen]
    if crop is not None:
        seconds = np.minimum(seconds, crop)
    fits = seconds <= budget
    if not fits.any():
        least = (
            f"the shortest of {counted(len(seconds), 'item')} has {seconds.min():.2f} s"
            if len(seconds)
            else "there are none"
        )
        raise DataError(f"no item fits a budget of {budget} s: {least}", hint="raise data.budget, or set data.crop")
    chosen, seconds = chosen[fits], seconds[fits]
    if len(chosen) < micro_batches:  # fewer items than a step has micro-batches: some come twice
        repeats = -(-micro_batches // len(chosen))
        chosen, seconds = np.tile(chosen, repeats), np.tile(seconds, repeats)
    order = np.argsort(seconds * random.uniform(1 - jitter, 1 + jitter, len(seconds)), kind="stable")
    cuts = _cut(seconds[order], budget, largest=len(order) // micro_batches)
    batches = [chosen[order[start:end]] for start, end in pairwise(cuts)]
    spare = len(batches) % micro_batches
    first = int(random.integers(len(batches) - spare + 1))
    del batches[first : first + spare]
    steps = [batches[start : start + micro_batches] for start in range(0, len(batches), micro_batches)]
    return BatchPlan([steps[index] for index in random.permutation(len(steps))])


def _choose(
    durations: Sequence[np.ndarray[Any, Any]], weights: Sequence[float] | None, random: np.random.Generator
) -> Items:
    """The item numbers of an epoch: all of them, or of each corpus the number that its share of the time allows."""
    starts = np.cumsum([0, *(len(part) for part in durations)])
    if weights is None:
        return np.arange(starts[-1])
    total = sum(float(part.sum()) for part in durations)
    shares = np.asarray(weights, np.float64) / sum(weights)
    picked = []
    for part, start, share in zip(durations, starts[:-1], shares, strict=True):
        count = round(total * share / float(part.mean())) if len(part) else 0
        rounds = [random.permutation(len(part)) for _ in range(-(-count // max(1, len(part))))]
        picked.append(start + (np.concatenate(rounds)[:count] if rounds else np.zeros(0, np.int64)))
    return np.concatenate(picked)


def _cut(seconds: np.ndarray[Any, Any], budget: float, largest: int) -> list[int]:
    """Indices at which the (almost sorted) items are cut, so that longest times count is within the budget."""
    ceiling = np.maximum.accumulate(seconds)  # the longest so far, because jitter disturbs the order a little
    cuts, start, size = [0], 0, len(seconds)
    while start < size:
        end = start + 1
        while end < size and end - start < largest and ceiling[end] * (end + 1 - start) <= budget:
            end += 1
        cuts.append(end)
        start = end
    return cuts
