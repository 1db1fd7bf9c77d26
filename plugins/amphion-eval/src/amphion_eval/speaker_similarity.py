"""Speaker similarity: cosine of the speaker embeddings of generated and reference audio, -1 to 1.

SIM-O compares with the original prompt of zero-shot synthesis, SIM-R with the prompt after the system's own codec
(Wang et al., "VALL-E", arXiv:2301.02111; Le et al., "Voicebox", arXiv:2306.15687). A value says nothing without the
embedding that the variant names.
"""

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, EmbeddingPart, Score
from amphion_eval.distribution import EmbeddingMetric
from amphion_eval.signals import there


class SpeakerSimilarity(EmbeddingMetric):
    """Cosine with the reference recording."""

    class Config(EmbeddingMetric.Config):
        """The speaker embedding."""

        embedding: EmbeddingPart = Field(
            default="resemblyzer", validate_default=True, description="resemblyzer, wavlm_xvector, ecapa, ..."
        )

    unit = ""
    higher_is_better = True
    library = "resemblyzer 0.1.4, transformers 5"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and what the embedding raises."""
        a = self.embedded(generated).vectors.mean(0, dtype=np.float64)
        b = self.embedded(there(reference), what="reference").vectors.mean(0, dtype=np.float64)
        return Score(float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))


class SIMO(SpeakerSimilarity):
    """SIM-O: cosine with the original prompt."""

    needs = frozenset({"prompt"})


class SIMR(SpeakerSimilarity):
    """SIM-R: cosine with the prompt after the system's codec."""

    needs = frozenset({"resynthesis"})
