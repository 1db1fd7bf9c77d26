"""Distances of sets: Frechet audio distance (FAD, FD), inception score, KL divergence, with any audio embedding.

Frechet distance (Heusel et al., arXiv:1706.08500): |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), from the means and
unbiased covariances of all windows of all files. It is called FAD with VGGish (Kilgour et al., arXiv:1812.08466) and FD
with PANNs. It depends on the level of both sets, and it is biased: it falls when the number of windows N grows, so N
must be much larger than the dimension. ``fad_inf`` (Chong and Forsyth, arXiv:1911.07023; Gui et al., arXiv:2311.01616)
removes the bias: it computes the distance of random subsets of the generated windows, fits a straight line over 1/N,
and gives its value at 1/N = 0.

Inception score (Salimans et al., arXiv:1606.03498): exp of the mean KL divergence between each file's softmax and the
mean softmax; the mean over 10 splits of the shuffled files. KL: the mean over pairs of files of
sum p_ref ln(p_ref / (p_gen + 1e-6)) with softmax, as in audioldm_eval.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Embedded, EmbeddingPart, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, Samples, mono, required

TINY = 1e-6  # added to a probability before dividing by it, as in audioldm_eval
SUBSETS = 15  # number of subsets for the fit of fad_inf


class EmbeddingMetric(Metric):
    """Base of the metrics that compare embeddings of recordings."""

    class Config(BaseConfig):
        """The embedding."""

        embedding: EmbeddingPart = Field(description="audio embedding: vggish, panns_cnn14, clap, efficientat, ...")

    config: Config
    library = "numpy 2, scipy 1.17 (sqrtm); audioldm_eval for IS and KL"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.embedding: AudioEmbedding = _built(config.embedding)
        self.sample_rate = self.embedding.sample_rate

    @property
    def variant(self) -> str:
        """The embedding and its variant."""
        return ", ".join(filter(None, [self.config.embedding.name, self.embedding.variant]))

    def embedded(self, audio: Audio, *, what: str = "generated") -> Embedded:
        """The embedding of one audio, computed once for all metrics. Raises DataError for silence."""
        mono(audio, what=what)
        return _embedded(self.embedding, audio)

    def logits(self, audio: Audio, *, what: str = "generated") -> Array:
        """Mean logits (classes,) of one audio. Raises DataError for silence, and for an embedding without classes."""
        logits = self.embedded(audio, what=what).logits
        if logits is None:
            raise DataError(
                f"{self.config.embedding.name} has no classes",
                hint="--set METRIC.embedding=panns_cnn14",
            )
        return logits.astype(np.float64).mean(0)


class FAD(EmbeddingMetric):
    """Frechet distance of the windows of two sets of files, 0 for equal sets; files need no partners."""

    class Config(EmbeddingMetric.Config):
        """The embedding; by default VGGish, as in the paper on FAD."""

        embedding: EmbeddingPart = Field(default="vggish", validate_default=True, description="audio embedding")

    unit = ""
    higher_is_better = False
    of_sets = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The windows (N, D) of one file. Raises DataError for silence, and the errors of the embedding."""
        return Score(float("nan"), arrays={"vectors": self.embedded(generated).vectors})

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """``details`` contains the numbers of windows. Raises DataError if a set has fewer than 2."""
        a, b = (_stacked(part, what) for part, what in ((scores, "generated"), (references, "reference")))
        return Score(self.distance(a, b), {"windows": float(len(a)), "reference_windows": float(len(b))})

    def distance(self, a: Array, b: Array) -> float:
        """The distance of two sets of windows (N, D) and (M, D)."""
        return frechet_distance(a, b)


class FADInf(FAD):
    """FAD extrapolated to infinitely many generated windows; sets of different sizes are comparable."""

    def distance(self, a: Array, b: Array) -> float:
        """As for FAD, extrapolated. Raises DataError for too few windows."""
        return frechet_unbiased(a, b)


class FD(FAD):
    """Frechet distance with PANNs, as papers on text-to-audio report it."""

    class Config(EmbeddingMetric.Config):
        """The embedding; by default PANNs Cnn14."""

        embedding: EmbeddingPart = Field(default="panns_cnn14", validate_default=True, description="audio embedding")


class InceptionScore(EmbeddingMetric):
    """Inception score: high if each file has a clear class and the classes vary; 1 to the number of classes."""

    class Config(FD.Config):
        """The classifier, the splits and the shuffling."""

        splits: int = Field(default=10, gt=0, description="number of parts of the set, whose scores are averaged")
        seed: int | None = Field(default=2020, description="seed of the shuffling of files; null: no shuffling")

    config: Config
    unit = ""
    higher_is_better = True
    needs = frozenset()
    of_sets = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The logits of one file. Raises DataError for silence, and for an embedding without classes."""
        return Score(float("nan"), arrays={"logits": self.logits(generated)})

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """The mean over the splits, and their ``std``. Raises DataError for fewer files than splits."""
        if len(scores) < self.config.splits:
            raise DataError(
                f"{len(scores)} files cannot be split into {self.config.splits}",
                hint="set fewer splits",
            )
        logits = np.stack([score.arrays["logits"] for score in scores])
        mean, std = inception_score(logits, self.config.splits, seed=self.config.seed)
        return Score(mean, {"std": std})


class KL(EmbeddingMetric):
    """KL divergence between the classes of reference and generated file, paired by name; 0 for equal classes."""

    class Config(FD.Config):
        """The classifier; by default PANNs Cnn14."""

    unit = "nats"
    higher_is_better = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and for an embedding without classes."""
        return Score(kl_divergence(self.logits(generated), self.logits(required(reference), what="reference")))


def frechet_distance(a: Array, b: Array) -> float:
    """The Frechet distance of two sets of vectors (N, D), (M, D), each described by a Gaussian.

    With S1 = A^T A and S2 = B^T B, tr (S1 S2)^(1/2) is the sum of the singular values of A B^T. This needs no square
    root of a matrix, which may be singular.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    means: list[Array] = []
    factors: list[Array] = []
    traces = 0.0
    for part in (a, b):
        means.append(part.mean(0))
        centred = (part - means[-1]) / np.sqrt(len(part) - 1)
        traces += float(np.square(centred).sum())
        tall = len(centred) > centred.shape[1]  # the triangular factor of A is smaller and has the same A^T A
        factors.append(np.asarray(np.linalg.qr(centred, mode="r")) if tall else centred)
    product: Samples = factors[0] @ factors[1].T
    root = np.linalg.svd(product, compute_uv=False).sum()
    return max(0.0, float(np.square(means[0] - means[1]).sum() + traces - 2 * root))


def frechet_unbiased(a: Array, b: Array, *, seed: int = 0) -> float:
    """The Frechet distance of (N, D), (M, D), extrapolated to N = infinity by a line over 1/N through subsets of ``a``.

    The extrapolated value can be slightly below 0. Raises DataError for too few windows.
    """
    smallest = max(4 * a.shape[1], len(a) // 10, 20)
    if len(a) < 2 * smallest:
        raise DataError(f"{len(a)} windows are too few to extrapolate; {2 * smallest} are needed")
    random = np.random.default_rng(seed)
    sizes = np.linspace(smallest, len(a), SUBSETS).astype(int)
    found = [frechet_distance(a[random.choice(len(a), size, replace=False)], b) for size in sizes]
    return float(np.polyfit(1 / sizes, found, 1)[1])


def inception_score(logits: Array, splits: int, *, seed: int | None) -> tuple[float, float]:
    """Logits (N, classes) -> mean and standard deviation of the score over splits; no shuffling if ``seed`` is None.

    With the seed 2020 the splits are those of audioldm_eval.
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
    """Logits (classes,) of a generated file and its reference -> KL divergence in nats."""
    p, q = _softmax(reference), _softmax(generated)
    return float((p * np.log(p / (q + TINY) + np.finfo(float).tiny)).sum())


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _stacked(scores: Sequence[Score], what: str) -> Array:
    vectors = [score.arrays["vectors"] for score in scores]
    if sum(map(len, vectors)) < 2:
        raise DataError(f"the {what} files have fewer than 2 windows")
    return np.concatenate(vectors)


@lru_cache(maxsize=8)
def _built(part: EmbeddingPart) -> Any:
    return part.build()


@lru_cache(maxsize=8)
def _embedded(embedding: AudioEmbedding, audio: Audio) -> Embedded:
    return embedding.embed(audio)
