"""The median F0 of every speaker of a training corpus, by which a conversion chooses its key."""

from typing import Any

import numpy as np

from amphion_core.api import CorpusFacts, FeaturePart
from amphion_core.data.feature_cache import FeatureCache

Counts = np.ndarray[Any, np.dtype[np.int64]]
LOWEST, HIGHEST, STEPS = 20.0, 5000.0, 960  # Hz, Hz, classes between them: 10 cents each


def median_f0_of_speakers(facts: CorpusFacts, tracker: FeaturePart) -> dict[str, float]:
    """The median of the voiced frames of each speaker in Hz, to 5 cents; 0 for a speaker without a voiced frame.

    An utterance without a speaker counts for the speaker ``""``. F0 is cached, so training need not compute it again.
    Raises DataError for a corpus without a voiced frame.
    """
    facts.statistics(tracker, positive_only=True)
    edges = np.geomspace(LOWEST, HIGHEST, STEPS + 1)
    counts: dict[str, Counts] = {}
    for manifest in facts.manifests:
        cache = FeatureCache(manifest, tracker, facts.config.cache)
        for index, record in enumerate(manifest):
            f0 = cache.read(index)
            found = np.histogram(f0[f0 > 0], edges)[0]
            counts[record.utterance.speaker] = counts.get(record.utterance.speaker, 0) + found
    return {name: _median(count, edges) for name, count in counts.items()}


def _median(counts: Counts, edges: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """The centre of the class in which the middle of the counts lies; 0 without any."""
    total = int(counts.sum())
    if not total:
        return 0.0
    place = int(np.searchsorted(counts.cumsum(), (total + 1) // 2))
    return float(np.sqrt(edges[place] * edges[place + 1]))
