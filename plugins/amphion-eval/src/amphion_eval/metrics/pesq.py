"""PESQ: perceptual evaluation of speech quality, as MOS-LQO, ITU-T P.862.1 (narrow band) and P.862.2 (wide band).

Computed by the package ``pesq``, the ITU's reference code. Identical signals give 4.5486 (narrow) and 4.6439 (wide).
The published Amphion v0.1 reports the raw score of P.862 instead, which P.862.1 maps to the narrow-band MOS-LQO.
"""

import math
from functools import lru_cache
from typing import ClassVar

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import pair, there


class _PESQ(Metric):
    class Config(BaseConfig):
        """Nothing to choose: the standard fixes it."""

    config: Config
    unit = "MOS-LQO"
    higher_is_better = True
    sample_rate = 16000
    library = "pesq 0.0.4"
    mode: ClassVar[str]

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, for less than a quarter of a second, and where PESQ finds no utterance."""
        return Score(_mos_lqo(generated, there(reference), self.mode))


class PESQWide(_PESQ):
    """PESQ, wide band, 16 kHz: 1.0 to 4.64."""

    mode = "wb"


class PESQNarrow(_PESQ):
    """PESQ, narrow band, from 16 kHz audio: 1.0 to 4.55."""

    mode = "nb"


class PESQRaw(PESQNarrow):
    """PESQ, raw score of P.862, -0.5 to 4.5, from the narrow-band one by the inverse of P.862.1, equation 1."""

    unit = ""
    library = "pesq 0.0.4, unmapped"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """As the narrow-band score; its value is the detail ``mos_lqo``."""
        mapped = super().measure(generated, reference).value
        raw = (4.6607 - math.log(4 / (mapped - 0.999) - 1)) / 1.4945
        return Score(raw, {"mos_lqo": mapped})


@lru_cache(maxsize=4)
def _mos_lqo(generated: Audio, reference: Audio, mode: str) -> float:
    """Kept while the metrics of one item are computed: the raw score comes from the narrow-band one."""
    from pesq import NoUtterancesError, PesqError, pesq

    x, s = pair(generated, reference, cut=False)
    if min(len(x), len(s)) < generated.sample_rate // 4:
        raise DataError("PESQ needs a quarter of a second of audio")
    try:
        return float(pesq(generated.sample_rate, s.astype("float32"), x.astype("float32"), mode))
    except NoUtterancesError as error:
        raise DataError("PESQ finds no utterance in it") from error
    except PesqError as error:
        raise DataError(f"PESQ cannot be computed: {error}") from error
