"""STOI and ESTOI: short-time objective intelligibility, 0 to 1.

Taal et al., IEEE TASLP 19 (2011); Jensen and Taal, IEEE TASLP 24 (2016). Computed by ``pystoi``, which works at 10 kHz
and ignores frames of the reference that are 40 dB below its loudest frame.
"""

import warnings
from typing import ClassVar

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import pair

SHORTEST = 0.39  # seconds: 30 frames of 256 samples, 128 apart, at 10 kHz, last 0.397; pystoi fails at a few samples


class STOI(Metric):
    """Correlation of short-time envelopes in 15 third-octave bands over 384 ms. The longer audio is cut."""

    class Config(BaseConfig):
        """Empty: the definition leaves nothing to configure."""

    config: Config
    unit = ""
    library = "pystoi 0.4"
    higher_is_better = True
    extended: ClassVar[bool] = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and if fewer than 30 frames are loud enough, as in audio below 0.4 seconds."""
        from pystoi import stoi

        x, s = pair(generated, reference)
        too_short = DataError("STOI needs about 0.4 seconds of audio that is not silent")
        if len(s) < SHORTEST * generated.sample_rate:
            raise too_short
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = float(stoi(s, x, generated.sample_rate, extended=self.extended))
        if any("Not enough STFT frames" in str(warning.message) for warning in caught):
            raise too_short
        return Score(value)


class ESTOI(STOI):
    """Extended STOI: also compares the shapes of the spectra."""

    extended = True
