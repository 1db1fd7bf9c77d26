"""Facts of a training corpus that a model's configuration depends on: names of speakers, characters, statistics."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from amphion_core.component import Utterance
from amphion_core.data.config import DataConfig
from amphion_core.data.extraction import FeatureProgress, complete_features
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.manifest import Manifest
from amphion_core.errors import DataError
from amphion_core.parts import FeaturePart

Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of one feature over the whole training split, for each of its ``dim`` values.

    ``deviation`` is the root of the mean squared distance from the mean. ``count`` is the number of frames that were
    looked at, or of utterances where the feature is one vector for each.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    count: int


class CorpusFacts:
    """The training split of all sources, seen as a whole. Every fact is computed when it is first needed.

    Features are computed on ``device`` ("auto", "cpu" or "cuda"); ``on_progress`` is called with their progress.
    """

    def __init__(
        self,
        config: DataConfig,
        *,
        device: str = "auto",
        on_progress: Callable[[FeatureProgress], None] | None = None,
    ) -> None:
        self.config = config
        self.manifests = [Manifest(source.root, config.train) for source in config.root]
        self._device, self._on_progress = device, on_progress

    def utterances(self) -> Iterator[Utterance]:
        """Every utterance of the training split, read from disk one by one."""
        for manifest in self.manifests:
            for record in manifest:
                yield record.utterance

    @cached_property
    def seconds(self) -> float:
        """The duration of all utterances together."""
        return float(sum(manifest.durations.sum(dtype=np.float64) for manifest in self.manifests))

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """The names of all speakers, sorted. Raises DataError when some utterances have a speaker and others none."""
        named = {utterance.speaker for utterance in self.utterances()}
        if "" in named and len(named) > 1:
            raise DataError(
                "some utterances of the training split have a speaker and others have none",
                hint="prepare the corpora with speakers, or train on one of them",
            )
        return tuple(sorted(named - {""}))

    @cached_property
    def characters(self) -> dict[str, int]:
        """How often each character occurs in the texts, the most frequent first; equal counts in order of the code."""
        counts = Counter(character for utterance in self.utterances() for character in utterance.text)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def statistics(self, part: FeaturePart, *, positive_only: bool = False) -> Statistics:
        """Mean, deviation and range of a feature. The feature is cached, so training need not compute it again.

        ``positive_only`` leaves out values that are not above 0, such as F0 of unvoiced frames.
        Raises DataError when one of the feature's values has nothing to be computed from.
        """
        caches = [FeatureCache(manifest, part, self.config.cache) for manifest in self.manifests]
        for progress in complete_features(caches, device=self._device):
            if self._on_progress is not None:
                self._on_progress(progress)
        sums = _Sums(caches[0].info.dim)
        for cache in caches:
            for index in range(len(cache.manifest)):
                values = cache.read(index).astype(np.float64).reshape(cache.info.dim, -1)  # (dim, N) or (dim, 1)
                sums.add(values, values > 0 if positive_only else np.ones_like(values, bool))
        if not sums.count.all():
            what = "values above 0" if positive_only else "values"
            raise DataError(
                f"the feature {part.name} has no {what} in the training split, so it has no statistics",
                hint="check the recordings, and the extractor's options: amphion info " + part.name,
            )
        deviation = np.sqrt(sums.squares / sums.count)
        rows = (sums.mean, deviation, sums.smallest, sums.largest)
        mean, spread, smallest, largest = (tuple(float(value) for value in row) for row in rows)
        return Statistics(mean, spread, smallest, largest, sums.frames)


class _Sums:
    """Running mean and squared deviations of (dim,) values, item by item.

    Source: Chan, Golub, LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983),
    the update of two sets: it stays exact where the mean is large against the deviation.
    """

    def __init__(self, dim: int) -> None:
        self.frames = 0
        self.count: Vector = np.zeros(dim)
        self.mean: Vector = np.zeros(dim)
        self.squares: Vector = np.zeros(dim)  # sum of (value - mean) ** 2
        self.smallest: Vector = np.full(dim, np.inf)
        self.largest: Vector = np.full(dim, -np.inf)

    def add(self, values: Vector, used: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Add the values (dim, N) where ``used`` (dim, N) is True."""
        self.frames += values.shape[1]
        count = used.sum(1)
        some = np.maximum(count, 1)
        mean = np.where(used, values, 0).sum(1) / some
        squares = np.square(np.where(used, values - mean[:, None], 0)).sum(1)
        total = np.maximum(self.count + count, 1)
        change = np.where(count > 0, mean - self.mean, 0)
        self.mean = self.mean + change * count / total
        self.squares = self.squares + squares + np.square(change) * self.count * count / total
        self.count = self.count + count
        self.smallest = np.minimum(self.smallest, np.where(used, values, np.inf).min(1, initial=np.inf))
        self.largest = np.maximum(self.largest, np.where(used, values, -np.inf).max(1, initial=-np.inf))
