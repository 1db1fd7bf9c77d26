"""F0 errors: root mean square in cents and in Hz, Pearson correlation, and F1 of voicing decisions.

Ours: frames voiced in both, side by side in time (`cut`) or aligned on mel-cepstra (`dtw`), F0 in Hz from the tracker
that the variant names. An octave error counts as 1200 cents.

``amphion_v01``: frames without voice are left out and the rest joined before anything is compared, in cents about the
median of each file (so that an octave error of a whole file is hidden); in Hz the zeros of unvoiced frames enter.
``dtw`` aligns the very sequence that is compared, which hides most differences.
"""

from collections.abc import Mapping

import numpy as np

from amphion_core.api import Audio, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.pitch import PitchMetric
from amphion_eval.analysis.signals import Array, Samples, pearson

FEWEST = 2  # frames voiced in both


class F0RMSE(PitchMetric):
    """Root mean square difference of F0 in cents, over frames voiced in both."""

    unit = "cents"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, too short audio, and fewer than 2 frames voiced in both."""
        return _rmse(*self.contours(generated, reference))

    def contours(self, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
        """The two sequences that are compared, in cents, (P,) each."""
        if self.published:
            return self.aligned(*(_about_median(f0) for f0 in self.published_tracks(generated, reference)))
        x, s = both_voiced(*self.tracks(generated, reference))
        return 1200 * np.log2(x / 440), 1200 * np.log2(s / 440)


class F0RMSEHz(F0RMSE):
    """Root mean square difference of F0 in Hz, over frames voiced in both."""

    unit = "Hz"

    def contours(self, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
        """In Hz, (P,) each; those of amphion_v01 hold 0 where there is no voice."""
        if self.published:
            x, s = self.published_tracks(generated, reference)
            if not (x.any() and s.any()):
                raise DataError("one of the audios has no voice")
            return self.aligned(x, s)
        return both_voiced(*self.tracks(generated, reference))


class FPC(F0RMSEHz):
    """F0 Pearson coefficient over frames voiced in both, -1 to 1; of F0 in Hz, of amphion_v01 in cents."""

    unit = ""
    higher_is_better = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError as F0RMSE, and for a constant F0, whose correlation is not defined."""
        x, s = (F0RMSE if self.published else F0RMSEHz).contours(self, generated, reference)
        return Score(pearson(x, s, what="F0"), {"frames": float(len(x))})


class VUVF1(PitchMetric):
    """F1 of voicing decisions, voice being positive: 2 TP / (2 TP + FP + FN) over all frames of a corpus, 0 to 1."""

    unit = ""
    higher_is_better = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, too short audio, and when neither has a voiced frame."""
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
        """F1 of the frames of all items."""
        hits = 2 * sums["true_positives"]
        return hits / (hits + sums["false_positives"] + sums["false_negatives"])


def both_voiced(x: Samples, s: Samples) -> tuple[Samples, Samples]:
    """F0 of the frames voiced in both. Raises DataError for fewer than 2."""
    voiced = (x > 0) & (s > 0)
    if voiced.sum() < FEWEST:
        raise DataError(f"fewer than {FEWEST} frames are voiced in both")
    return x[voiced], s[voiced]


def _rmse(x: Samples, s: Samples) -> Score:
    return Score(float(np.sqrt(np.square(x - s).mean())), {"frames": float(len(x))})


def _about_median(f0: Samples) -> Samples:
    voiced = f0[f0 > 0]
    if len(voiced) < FEWEST:
        raise DataError(f"fewer than {FEWEST} frames of one audio are voiced")
    cents: Samples = 1200 * np.log2(voiced / 440)
    return cents - np.median(cents)
