"""STOI and ESTOI: short-time objective intelligibility, 0 to 1.

Taal et al., IEEE TASLP 19 (2011); Jensen and Taal, IEEE TASLP 24 (2016). Computed by ``pystoi``, which works at 10 kHz
and leaves out frames 40 dB below the loudest of the reference.
"""

import warnings
from typing import ClassVar

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import pair


class STOI(Metric):
    """Correlation of short-time envelopes in 15 third-octave bands over 384 ms. Lengths are cut to the shorter."""

    class Config(BaseConfig):
        """Nothing to choose: the definition fixes it."""

    config: Config
    unit = ""
    library = "pystoi 0.4"
    higher_is_better = True
    extended: ClassVar[bool] = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and when fewer than 30 frames are left."""
        from pystoi import stoi

        x, s = pair(generated, reference)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            value = float(stoi(s, x, generated.sample_rate, extended=self.extended))
        if any("Not enough STFT frames" in str(warning.message) for warning in told):
            raise DataError("STOI needs about 0.4 seconds that are not silent")
        return Score(value)


class ESTOI(STOI):
    """Extended STOI, which also compares the shapes of spectra."""

    extended = True
