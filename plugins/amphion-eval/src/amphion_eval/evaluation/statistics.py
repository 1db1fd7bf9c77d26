"""Statistics of scores: intervals, and comparisons of two systems.

Items are resampled, not frames. An interval holds the middle 95 % of 2000 bootstrap samples of the items (Efron).
Metrics of whole sets cannot be bootstrapped, because repeated items change their value; their interval is +- 1.96
standard errors of a jackknife over 20 blocks. Two systems are compared on the items that both have, by a permutation
test: in each of 10000 draws, the two scores of each item are swapped at random, and p is the share of draws in which
the difference is at least as large as the measured one. Holm's correction counts all comparisons of a report.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from amphion_core.api import Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array

DRAWS, FLIPS, BLOCKS = 2000, 10000, 20
CHUNK = 1 << 21  # random numbers drawn at a time; it limits the memory


def interval(metric: Metric, scores: Sequence[Score], references: Sequence[Score] = ()) -> list[float] | None:
    """95 % interval [low, high] of the value of a set.

    None for a single item, and where a part of the set is too small to have a value. Draws are repeatable: the same
    scores always give the same interval.
    """
    if len(scores) < 2:
        return None
    if type(metric).aggregate is not Metric.aggregate:
        return _jackknife(metric, scores, references)
    columns = _columns(scores)
    found = [
        metric.combine({key: counts @ column for key, column in columns.items()}, np.asarray(len(scores)))
        for counts in _draws(DRAWS, len(scores), _with_replacement)
    ]
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5])
    return [float(low), float(high)]


def compare(metric: Metric, a: Sequence[Score], b: Sequence[Score]) -> tuple[float, list[float], float]:
    """Compare two systems by scores of the same items: difference a - b of their values, its 95 % interval, and p.

    Raises DataError for fewer than 2 items.
    """
    count = np.asarray(len(a))
    if count < 2:
        raise DataError("two systems need at least 2 common items to be compared")
    first, second = _columns(a), _columns(b)

    def difference(weigh_a: Array, weigh_b: Array) -> Array:
        """The difference of resampled sets: ``weigh`` (..., n) says how often each item occurs."""
        return metric.combine({key: weigh_a @ column for key, column in first.items()}, count) - metric.combine(
            {key: weigh_b @ column for key, column in second.items()}, count
        )

    everything = np.ones(len(a))
    found = float(difference(everything, everything))
    draws = np.concatenate([difference(counts, counts) for counts in _draws(DRAWS, len(a), _with_replacement)])
    flips = np.concatenate(
        [_flipped(metric, first, second, swap, count) for swap in _draws(FLIPS, len(a), _coin_flips)]
    )
    extreme = int((np.abs(flips) >= abs(found) * (1 - 1e-9)).sum())
    low, high = np.percentile(draws, [2.5, 97.5])
    return found, [float(low), float(high)], (1 + extreme) / (1 + FLIPS)


def holm(p: Sequence[float]) -> list[float]:
    """The p values with Holm's correction (1979), in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def _flipped(
    metric: Metric, first: Mapping[str, Array], second: Mapping[str, Array], swap: Array, count: Array
) -> Array:
    """Differences (draws,) after swapping the two scores of the items where ``swap`` (draws, n) is 1."""
    sums = [
        {key: one[key].sum() + swap @ (other[key] - one[key]) for key in first}
        for one, other in ((first, second), (second, first))
    ]
    return metric.combine(sums[0], count) - metric.combine(sums[1], count)


def _jackknife(metric: Metric, scores: Sequence[Score], references: Sequence[Score]) -> list[float] | None:
    order = np.random.default_rng(0).permutation(len(scores))
    blocks = np.array_split(order, min(BLOCKS, len(scores)))
    try:
        left_out = [
            metric.aggregate([scores[i] for i in order if i not in set(block.tolist())], references).value
            for block in blocks
        ]
        value = metric.aggregate(scores, references).value
    except DataError:  # too few items remain for this metric
        return None
    error = np.sqrt((len(blocks) - 1) * np.var(left_out))
    return [value - 1.96 * float(error), value + 1.96 * float(error)]


def _columns(scores: Sequence[Score]) -> dict[str, Array]:
    rows = [{"value": score.value, **score.details} for score in scores]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def _with_replacement(random: np.random.Generator, draws: int, count: int) -> Array:
    return random.multinomial(count, np.full(count, 1 / count), draws)


def _coin_flips(random: np.random.Generator, draws: int, count: int) -> Array:
    return random.integers(2, size=(draws, count))


def _draws(draws: int, count: int, draw: Callable[[np.random.Generator, int, int], Array]) -> Iterator[Array]:
    """``draws`` rows of ``count`` random numbers, in blocks of rows; always the same numbers."""
    random = np.random.default_rng(0)
    step = max(1, CHUNK // count)
    for start in range(0, draws, step):
        yield draw(random, min(step, draws - start), count).astype(np.float64)
