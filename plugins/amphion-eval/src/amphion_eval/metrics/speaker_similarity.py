"""Speaker similarity: cosine of the speaker embeddings of generated and reference audio, -1 to 1.

SIM-O compares with the original prompt of zero-shot synthesis, SIM-R with the prompt decoded by the system's codec
(Wang et al., "VALL-E", arXiv:2301.02111; Le et al., "Voicebox", arXiv:2306.15687). Values of different embeddings are
not comparable; the variant names the embedding. ``speaker_similarity`` pairs files by name;
``speaker_similarity_overall`` compares with any recordings of the target speaker.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, EmbeddingPart, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, required
from amphion_eval.metrics.distribution import EmbeddingMetric


class SpeakerSimilarity(EmbeddingMetric):
    """Cosine of the speaker embeddings of generated and reference recording, -1 to 1."""

    class Config(EmbeddingMetric.Config):
        """The speaker embedding."""

        embedding: EmbeddingPart = Field(
            default="resemblyzer", validate_default=True, description="resemblyzer, wavlm_xvector, ecapa, rawnet3, ..."
        )

    unit = ""
    higher_is_better = True
    library = "resemblyzer 0.1.4, transformers 5"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and the errors of the embedding."""
        return Score(float(self.voice(generated) @ self.voice(required(reference), what="reference")))

    def voice(self, audio: Audio, *, what: str = "generated") -> Array:
        """The embedding of one audio, (D,), with unit length."""
        vector: Array = self.embedded(audio, what=what).vectors.mean(0, dtype=np.float64)
        return vector / np.linalg.norm(vector)


class SpeakerSimilarityOverall(SpeakerSimilarity):
    """Mean cosine over all pairs of a generated file and a reference recording; files need no partners."""

    of_sets = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The embedding of one file. Raises DataError for silence, and the errors of the embedding."""
        return Score(float("nan"), arrays={"voice": self.voice(generated)})

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """Raises DataError for an empty set. The mean of all products of unit vectors is the product of their means."""
        if not (scores and references):
            raise DataError("a similarity needs generated files and reference recordings")
        a, b = (np.mean([score.arrays["voice"] for score in part], 0) for part in (scores, references))
        return Score(float(a @ b), {"pairs": float(len(scores) * len(references))})


class SIMO(SpeakerSimilarity):
    """SIM-O: cosine of the speaker embeddings of the generated file and the original prompt."""

    needs = frozenset({"prompt"})


class SIMR(SpeakerSimilarity):
    """SIM-R: cosine of the speaker embeddings of the generated file and the prompt decoded by the codec."""

    needs = frozenset({"resynthesis"})
