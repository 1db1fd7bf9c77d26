"""Facts of a training corpus that a model's configuration depends on: names of speakers, texts, statistics."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from amphion_core.component import Utterance
from amphion_core.data.config import DataConfig
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.manifest import Manifest
from amphion_core.data.spread import default_processes
from amphion_core.errors import DataError
from amphion_core.parts import FeaturePart


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one feature over the whole training split, for each of its ``dim`` values."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    count: int  # frames, or utterances where the feature is one vector for each


class CorpusFacts:
    """The training split of all sources, seen as a whole. Everything is computed when first asked for."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.manifests = [Manifest(source.root, config.train) for source in config.root]

    def utterances(self) -> Iterator[Utterance]:
        """Every utterance of the training split, read from disk one by one."""
        for manifest in self.manifests:
            for record in manifest:
                yield record.utterance

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

    def statistics(self, part: FeaturePart, *, positive_only: bool = False) -> Statistics:
        """Mean, deviation and range of a feature, which is cached for training at the same time.

        ``positive_only`` leaves out values that are not above 0, such as F0 of unvoiced frames.
        Raises DataError when no value is left.
        """
        extracted = [FeatureCache(manifest, part, self.config.cache) for manifest in self.manifests]
        count, total, squares, low, high = 0.0, 0.0, 0.0, np.inf, -np.inf
        frames = 0
        for cache in extracted:
            for _ in cache.complete(default_processes()):
                pass
            for index in range(len(cache.manifest)):
                values = cache.read(index).astype(np.float64)  # (dim, N) or (dim,)
                values = values.reshape(len(values), -1)
                kept = values > 0 if positive_only else np.ones_like(values, bool)
                count = count + kept.sum(1)
                total = total + np.where(kept, values, 0).sum(1)
                squares = squares + np.where(kept, values, 0).__pow__(2).sum(1)
                low = np.minimum(low, np.where(kept, values, np.inf).min(1, initial=np.inf))
                high = np.maximum(high, np.where(kept, values, -np.inf).max(1, initial=-np.inf))
                frames += values.shape[1]
        if not np.all(np.asarray(count) > 0):
            raise DataError(f"no value of the feature {part.name} can be used for its statistics")
        mean = np.asarray(total / count)
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        rows = (mean, deviation, np.asarray(low), np.asarray(high))
        return Statistics(*(tuple(float(value) for value in row) for row in rows), frames)
