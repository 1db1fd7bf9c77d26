"""Speaker similarity: cosine of the speaker embeddings of generated and reference audio, -1 to 1.

SIM-O compares with the original prompt of zero-shot synthesis, SIM-R with the prompt after the system's own codec
(Wang et al., "VALL-E", arXiv:2301.02111; Le et al., "Voicebox", arXiv:2306.15687). A value says nothing without the
embedding that the variant names. ``speaker_similarity`` pairs files by name; ``speaker_similarity_overall`` takes any
recordings of the target speaker.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, EmbeddingPart, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, there
from amphion_eval.metrics.distribution import EmbeddingMetric


class SpeakerSimilarity(EmbeddingMetric):
    """Cosine of the voices of generated and reference recording, -1 to 1."""

    class Config(EmbeddingMetric.Config):
        """The speaker embedding."""

        embedding: EmbeddingPart = Field(
            default="resemblyzer", validate_default=True, description="resemblyzer, wavlm_xvector, ecapa, rawnet3, ..."
        )

    unit = ""
    higher_is_better = True
    library = "resemblyzer 0.1.4, transformers 5"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and what the embedding raises."""
        return Score(float(self.voice(generated) @ self.voice(there(reference), what="reference")))

    def voice(self, audio: Audio, *, what: str = "generated") -> Array:
        """The embedding of one audio, (D,), of unit length."""
        vector: Array = self.embedded(audio, what=what).vectors.mean(0, dtype=np.float64)
        return vector / np.linalg.norm(vector)


class SpeakerSimilarityOverall(SpeakerSimilarity):
    """Mean cosine of all generated files with all reference recordings, which need no partners."""

    of_sets = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The voice of one file. Raises DataError for silence, and what the embedding raises."""
        return Score(float("nan"), arrays={"voice": self.voice(generated)})

    def aggregate(self, scores: Sequence[Score], references: Sequence[Score] = ()) -> Score:
        """Of unit vectors, the mean of all products is the product of the means. Raises DataError for an empty set."""
        if not (scores and references):
            raise DataError("a similarity needs generated files and reference recordings")
        a, b = (np.mean([score.arrays["voice"] for score in part], 0) for part in (scores, references))
        return Score(float(a @ b), {"pairs": float(len(scores) * len(references))})


class SIMO(SpeakerSimilarity):
    """SIM-O: cosine with the original prompt."""

    needs = frozenset({"prompt"})


class SIMR(SpeakerSimilarity):
    """SIM-R: cosine with the prompt after the system's codec."""

    needs = frozenset({"resynthesis"})
