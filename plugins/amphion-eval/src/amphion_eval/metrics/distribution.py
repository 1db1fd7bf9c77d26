"""Distances of sets: Frechet audio distance (FAD, FD), inception score, KL divergence, over any audio embedding.

Frechet (Heusel et al., arXiv:1706.08500): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of means and unbiased covariances
of all windows of all files. FAD (Kilgour et al., arXiv:1812.08466) is its name with VGGish, FD with PANNs. It falls
with the number of windows N and depends on the level of both sets; N must be well above the dimension. ``fad_inf``
(Chong and Forsyth, arXiv:1911.07023; Gui et al., arXiv:2311.01616) extrapolates: the distance of random subsets of the
generated windows is fitted as a straight line of 1/N, whose value at 0 is free of the bias.

Inception score (Salimans et al., arXiv:1606.03498): exp of the mean KL divergence of each file's softmax from the mean,
over 10 splits of shuffled files. KL: mean over pairs of sum p_ref ln(p_ref / (p_gen + 1e-6)), softmax: audioldm_eval's.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Embedded, EmbeddingPart, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, Samples, mono, there

TINY = 1e-6  # audioldm_eval's, added to a probability below a fraction bar
SUBSETS = 15  # sizes of subsets that a line is fitted to


class EmbeddingMetric(Metric):
    """Base of the metrics that look at a recording through an embedding."""

    class Config(BaseConfig):
        """The embedding."""

        embedding: EmbeddingPart = Field(description="audio embedding: vggish, panns_cnn14, clap, efficientat, ...")

    config: Config
    library = "numpy 2, scipy 1.17 (sqrtm); audioldm_eval's definitions of IS and KL"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.embedding: AudioEmbedding = _built(config.embedding)
        self.sample_rate = self.embedding.sample_rate

    @property
    def variant(self) -> str:
        """The embedding."""
        return ", ".join(filter(None, [self.config.embedding.name, self.embedding.variant]))

    def embedded(self, audio: Audio, *, what: str = "generated") -> Embedded:
        """Windows of one audio, computed once for all metrics. Raises DataError for silence."""
        mono(audio, what=what)
        return _embedded(self.embedding, audio)

    def logits(self, audio: Audio, *, what: str = "generated") -> Array:
        """Mean logits (classes,) of one audio. Raises DataError for an embedding without classes."""
        logits = self.embedded(audio, what=what).logits
        if logits is None:
            raise DataError(f"{self.config.embedding.name} has no classes", hint="use panns_cnn14 or efficientat")
        return logits.astype(np.float64).mean(0)


class FAD(EmbeddingMetric):
    """Frechet distance of the windows of two sets of files, 0 for equal ones; files need no partners."""

    class Config(EmbeddingMetric.Config):
        """VGGish, as in the paper that named it."""

        embedding: EmbeddingPart = Field(default="vggish", validate_default=True, description="audio embedding")

    unit = ""
    higher_is_better = False
    of_sets = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The windows (N, D) of one file. Raises DataError for silence, and what the embedding raises."""
        return Score(float("nan"), arrays={"vectors": self.embedded(generated).vectors})

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """Raises DataError below 2 windows in either set. ``details`` say how many there are."""
        a, b = (_stacked(part, what) for part, what in ((scores, "generated"), (references, "reference")))
        return Score(self.distance(a, b), {"windows": float(len(a)), "reference_windows": float(len(b))})

    def distance(self, a: Array, b: Array) -> float:
        """Windows (N, D) and (M, D) -> the distance."""
        return frechet_distance(a, b)


class FADInf(FAD):
    """FAD extrapolated to infinitely many generated windows, so that sets of different sizes compare."""

    def distance(self, a: Array, b: Array) -> float:
        """Raises DataError for too few windows to fit a line."""
        return frechet_unbiased(a, b)


class FD(FAD):
    """Frechet distance with PANNs, as text-to-audio reports it."""

    class Config(EmbeddingMetric.Config):
        """Cnn14."""

        embedding: EmbeddingPart = Field(default="panns_cnn14", validate_default=True, description="audio embedding")


class InceptionScore(EmbeddingMetric):
    """How clear and how varied the classes of the generated files are; 1 to the number of classes."""

    class Config(FD.Config):
        """The classifier and the splits."""

        splits: int = Field(default=10, gt=0, description="parts of the files, whose scores are averaged")
        seed: int | None = Field(default=2020, description="of the order of files; null: as they come")

    config: Config
    unit = ""
    higher_is_better = True
    needs = frozenset()
    of_sets = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The logits of one file. Raises DataError for silence, and an embedding without classes."""
        return Score(float("nan"), arrays={"logits": self.logits(generated)})

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """The mean over splits; ``std`` is theirs. Raises DataError for fewer files than splits."""
        if len(scores) < self.config.splits:
            raise DataError(f"{len(scores)} files cannot be split into {self.config.splits}", hint="set splits lower")
        logits = np.stack([score.arrays["logits"] for score in scores])
        mean, std = inception_score(logits, self.config.splits, seed=self.config.seed)
        return Score(mean, {"std": std})


class KL(EmbeddingMetric):
    """KL divergence of the reference's classes from the generated file's, by name; 0 for equal ones."""

    class Config(FD.Config):
        """The classifier."""

    unit = "nats"
    higher_is_better = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and an embedding without classes."""
        return Score(kl_divergence(self.logits(generated), self.logits(there(reference), what="reference")))


def frechet_distance(a: Array, b: Array) -> float:
    """Two sets of vectors (N, D), (M, D) -> the Frechet distance of the Gaussians with their moments.

    tr (S1 S2)^(1/2) is the sum of the singular values of A B^T with S = A^T A: no root of a singular matrix.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    means: list[Array] = []
    factors: list[Array] = []
    traces = 0.0
    for part in (a, b):
        means.append(part.mean(0))
        centred = (part - means[-1]) / np.sqrt(len(part) - 1)
        traces += float(np.square(centred).sum())
        tall = len(centred) > centred.shape[1]  # then its triangular factor has the same A^T A
        factors.append(np.asarray(np.linalg.qr(centred, mode="r")) if tall else centred)
    product: Samples = factors[0] @ factors[1].T
    root = np.linalg.svd(product, compute_uv=False).sum()
    return max(0.0, float(np.square(means[0] - means[1]).sum() + traces - 2 * root))


def frechet_unbiased(a: Array, b: Array, *, seed: int = 0) -> float:
    """The Frechet distance (N, D), (M, D) at N = infinity: subsets of a, a line through 1/N. Raises DataError.

    It may be below 0, where the line overshoots.
    """
    smallest = max(4 * a.shape[1], len(a) // 10, 20)
    if len(a) < 2 * smallest:
        raise DataError(f"{len(a)} windows are too few to extrapolate: {2 * smallest} are needed")
    random = np.random.default_rng(seed)
    sizes = np.linspace(smallest, len(a), SUBSETS).astype(int)
    found = [frechet_distance(a[random.choice(len(a), size, replace=False)], b) for size in sizes]
    return float(np.polyfit(1 / sizes, found, 1)[1])


def inception_score(logits: Array, splits: int, *, seed: int | None) -> tuple[float, float]:
    """Logits (N, classes) -> mean and standard deviation over splits of the files, shuffled unless ``seed`` is None.

    With 2020 the generator is in the state of audioldm_eval's, so that the splits are the same.
    """
    if seed is not None:
        logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    parts = [logits[i * len(logits) // splits : (i + 1) * len(logits) // splits] for i in range(splits)]
    values = []
    for part in parts:
        p = _softmax(part)
        values.append(np.exp(np.mean((p * (np.log(p) - np.log(p.mean(0)))).sum(1))))
    return float(np.mean(values)), float(np.std(values))


def kl_divergence(generated: Array, reference: Array) -> float:
    """Logits (classes,) of one pair -> nats."""
    p, q = _softmax(reference), _softmax(generated)
    return float((p * np.log(p / (q + TINY) + np.finfo(float).tiny)).sum())


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _stacked(scores: Sequence[Score], what: str) -> Array:
    vectors = [score.arrays["vectors"] for score in scores]
    if sum(map(len, vectors)) < 2:
        raise DataError(f"the {what} set has fewer than 2 windows")
    return np.concatenate(vectors)


@lru_cache(maxsize=8)
def _built(part: EmbeddingPart) -> Any:
    return part.build()


@lru_cache(maxsize=8)
def _embedded(embedding: AudioEmbedding, audio: Audio) -> Embedded:
    return embedding.embed(audio)
