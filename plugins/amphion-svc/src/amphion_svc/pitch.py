"""The key of a conversion: how many semitones lie between two voices, and how far a model can go."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from amphion_core.errors import DataError

Contour = np.ndarray[Any, np.dtype[np.float32]]
EDGE = 1.0  # percent of voiced frames at either end that may lie outside of the range: errors of trackers


def median_f0(contours: Iterable[Contour]) -> float:
    """The median of all voiced frames in Hz; 0 without any."""
    voiced = _voiced(contours)
    return float(np.median(voiced)) if len(voiced) else 0.0


def choose_shift(
    contours: list[Contour], wanted: float | None, target: float, span: tuple[float, float]
) -> tuple[float, str]:
    """The key shift in semitones, and how it was chosen, in words.

    ``contours`` are the F0 of the source in Hz, 0 where unvoiced. ``wanted`` is the shift that a user states; None
    takes the whole number of semitones between the median of the source and ``target``, the median F0 of the singer in
    Hz, or 0 where that is not known (0). ``span`` is the range in Hz in which the model can sing: an automatic shift is
    made smaller so that the melody stays inside, and a stated one that leaves it raises DataError.
    """
    voiced = _voiced(contours)
    if not len(voiced):
        return wanted or 0.0, "there is no melody"
    low, high = np.percentile(voiced, [EDGE, 100 - EDGE])
    least, most = 12 * np.log2(span[0] / low), 12 * np.log2(span[1] / high)
    if wanted is not None:
        if wanted and not least <= wanted <= most:
            raise DataError(
                f"a key shift of {wanted:+g} semitones leaves the range of the model: the song, from {low:.0f} to "
                f"{high:.0f} Hz, would go from {low * 2 ** (wanted / 12):.0f} to {high * 2 ** (wanted / 12):.0f} Hz, "
                f"and the model sings from {span[0]:.0f} to {span[1]:.0f} Hz",
                hint=f"choose a key shift from {np.ceil(least):+.0f} to {np.floor(most):+.0f}",
            )
        return wanted, "as requested"
    if target <= 0:
        return 0.0, "the range of the singer is not known"
    natural = round(12 * float(np.log2(target / np.median(voiced))))
    limited = int(min(max(natural, np.ceil(min(least, 0))), np.floor(max(most, 0))))
    if limited != natural:
        return float(limited), f"limited by the range of the model; the singer's own would be {natural:+d}"
    return float(natural), "from the median F0 of both"


def _voiced(contours: Iterable[Contour]) -> Contour:
    found = [contour[contour > 0] for contour in contours]
    return np.concatenate(found) if found else np.zeros(0, np.float32)
