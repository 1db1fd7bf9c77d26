"""F0 errors: root mean square in cents and in Hz, Pearson correlation, and F1 of voicing decisions.

Ours: compares the frames that are voiced in both recordings. Frames belong together by time (`cut`) or by their
mel-cepstra (`dtw`); the variant names the tracker. An octave error counts as 1200 cents.

``amphion_v01``: removes the unvoiced frames of each recording first and joins the others. In cents, F0 is relative to
the median of each file, which hides an octave error of a whole file. In Hz, unvoiced frames are kept as zeros. ``dtw``
aligns by the compared values themselves, which hides most differences.
"""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.pitch import PitchMetric
from amphion_eval.analysis.signals import Array, Samples, pearson

FEWEST = 2  # frames that must be voiced in both recordings


class F0RMSE(PitchMetric):
    """Root mean square difference of F0 in cents, over frames that are voiced in both recordings."""

    class Config(PitchMetric.Config):
        """The key of converted voices."""

        key_shift: float | None = Field(
            default=0.0,
            ge=-48,
            le=48,
            description="semitones by which the F0 of the reference is moved before it is compared, for converted "
            "voices; null: for each item the median difference in whole semitones. Not for amphion_v01",
        )

    config: Config
    unit = "cents"

    @property
    def variant(self) -> str:
        """The choices of all F0 metrics, and the key shift if there is one."""
        shift = self.config.key_shift
        words = "any key" if shift is None else f"key {shift:+g}"
        return super().variant + (f", {words}" if shift != 0 and not self.published else "")

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, for too short audio, and if fewer than 2 frames are voiced in both."""
        x, s = in_cents(self, generated, reference)
        return _rmse(x, s + 100 * self.shift(x - s))

    def shift(self, cents: Samples) -> float:
        """The key shift in semitones, given by how many cents (P,) the generated F0 is above that of the reference."""
        if self.published:
            return 0.0
        stated = self.config.key_shift
        return float(round(np.median(cents) / 100)) if stated is None else stated


class F0RMSEHz(F0RMSE):
    """Root mean square difference of F0 in Hz, over frames that are voiced in both recordings."""

    unit = "Hz"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError as F0RMSE does."""
        x, s = in_hertz(self, generated, reference)
        return _rmse(x, s if self.published else s * 2 ** (self.shift(1200 * np.log2(x / s)) / 12))


class FPC(PitchMetric):
    """Pearson correlation of F0 over frames voiced in both, -1 to 1; F0 is in Hz, in amphion_v01 in cents.

    Another key does not change it.
    """

    unit = ""
    higher_is_better = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError as F0RMSE does, and for a constant F0, whose correlation is not defined."""
        x, s = (in_cents if self.published else in_hertz)(self, generated, reference)
        return Score(pearson(x, s, what="F0"), {"frames": float(len(x))})


class VUVF1(PitchMetric):
    """F1 of voicing decisions over all frames of a corpus, 0 to 1: 2 TP / (2 TP + FP + FN); voiced is positive."""

    unit = ""
    higher_is_better = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, for too short audio, and if neither recording has a voiced frame."""
        if self.published:
            x, s = self.aligned(*self.published_tracks(generated, reference))
        else:
            x, s = self.tracks(generated, reference)
        hits = float(((x > 0) & (s > 0)).sum())
        false, missed = float(((x > 0) & (s <= 0)).sum()), float(((x <= 0) & (s > 0)).sum())
        if not hits + false + missed:
            raise DataError("neither audio has a voiced frame")
        details = {"true_positives": hits, "false_positives": false, "false_negatives": missed}
        return Score(2 * hits / (2 * hits + false + missed), details)

    def combine(self, sums: Mapping[str, Array], count: Array) -> Array:
        """F1 over the frames of all items."""
        hits = 2 * sums["true_positives"]
        return hits / (hits + sums["false_positives"] + sums["false_negatives"])


def in_cents(metric: PitchMetric, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
    """The two compared sequences in cents, (P,) each."""
    if metric.published:
        return metric.aligned(*(_relative_to_median(f0) for f0 in metric.published_tracks(generated, reference)))
    x, s = both_voiced(*metric.tracks(generated, reference))
    return 1200 * np.log2(x / 440), 1200 * np.log2(s / 440)


def in_hertz(metric: PitchMetric, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
    """The two compared sequences in Hz, (P,) each; with amphion_v01 they are 0 where unvoiced."""
    if metric.published:
        x, s = metric.published_tracks(generated, reference)
        if not (x.any() and s.any()):
            raise DataError("one of the audios has no voiced frame")
        return metric.aligned(x, s)
    return both_voiced(*metric.tracks(generated, reference))


def both_voiced(x: Samples, s: Samples) -> tuple[Samples, Samples]:
    """F0 of the frames that are voiced in both recordings. Raises DataError for fewer than 2."""
    voiced = (x > 0) & (s > 0)
    if voiced.sum() < FEWEST:
        raise DataError(f"fewer than {FEWEST} frames are voiced in both")
    return x[voiced], s[voiced]


def _rmse(x: Samples, s: Samples) -> Score:
    return Score(float(np.sqrt(np.square(x - s).mean())), {"frames": float(len(x))})


def _relative_to_median(f0: Samples) -> Samples:
    voiced = f0[f0 > 0]
    if len(voiced) < FEWEST:
        raise DataError(f"fewer than {FEWEST} frames of one audio are voiced")
    cents: Samples = 1200 * np.log2(voiced / 440)
    return cents - np.median(cents)
