"""PESQ: perceptual evaluation of speech quality as MOS-LQO, ITU-T P.862.1 (narrow band) and P.862.2 (wide band).

Computed by the package ``pesq``, which contains the ITU's reference code. Identical signals give 4.5486 (narrow band)
and 4.6439 (wide band). Amphion v0.1 reports the raw score of P.862; P.862.1 maps it to the narrow-band MOS-LQO.
"""

import math
from functools import lru_cache
from typing import ClassVar

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import pair, required


class _PESQ(Metric):
    class Config(BaseConfig):
        """Empty: the standard leaves nothing to configure."""

    config: Config
    unit = "MOS-LQO"
    higher_is_better = True
    sample_rate = 16000
    library = "pesq 0.0.4"
    mode: ClassVar[str]

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, below 0.25 seconds, and if PESQ finds no utterance."""
        return Score(_mos_lqo(generated, required(reference), self.mode))


class PESQWide(_PESQ):
    """PESQ, wide band, at 16 kHz: 1.0 to 4.64."""

    mode = "wb"


class PESQNarrow(_PESQ):
    """PESQ, narrow band, from audio at 16 kHz: 1.0 to 4.55."""

    mode = "nb"


class PESQRaw(PESQNarrow):
    """PESQ, raw score of P.862, -0.5 to 4.5: the narrow-band score through the inverse of P.862.1, equation 1."""

    unit = ""
    library = "pesq 0.0.4, unmapped"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The narrow-band score is the detail ``mos_lqo``. Raises DataError as the narrow-band score does."""
        mapped = super().measure(generated, reference).value
        raw = (4.6607 - math.log(4 / (mapped - 0.999) - 1)) / 1.4945
        return Score(raw, {"mos_lqo": mapped})


@lru_cache(maxsize=4)
def _mos_lqo(generated: Audio, reference: Audio, mode: str) -> float:
    """The last results are kept, because the raw score is computed from the narrow-band score."""
    from pesq import NoUtterancesError, PesqError, pesq

    x, s = pair(generated, reference, cut=False)
    if min(len(x), len(s)) < generated.sample_rate // 4:
        raise DataError("PESQ needs 0.25 seconds of audio")
    try:
        return float(pesq(generated.sample_rate, s.astype("float32"), x.astype("float32"), mode))
    except NoUtterancesError as error:
        raise DataError("PESQ finds no utterance in the audio") from error
    except PesqError as error:
        raise DataError(f"PESQ cannot be computed: {error}") from error
