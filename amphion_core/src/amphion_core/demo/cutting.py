"""Cuts a long recording of several sentences at its pauses, so that a model can learn from the pieces."""

from itertools import pairwise

import numpy as np

from amphion_core.audio import Audio
from amphion_core.errors import DataError
from amphion_core.sounds import sounding

LONGEST = 11.0  # seconds of a piece; the recipes for small corpora learn from recordings of at most 12
SHORTEST = 1.5  # seconds
PAUSE = 0.25  # seconds of silence where a recording may be cut
QUIET = 35.0  # dB below the loudest frame, from where on a frame is silent
FRAME = 0.03  # seconds


def cut_at_pauses(audio: Audio) -> list[Audio]:
    """The pieces of a recording (T,) or (C, T), mono, each of at most ``LONGEST`` seconds and cut inside of a pause.

    Raises DataError for a recording in which nobody pauses for longer than that.
    """
    mono = audio.mono()
    rate, total = mono.sample_rate, mono.duration
    hop = max(1, round(FRAME * rate / 4))
    parts = sounding(mono.samples, quiet=QUIET, frame=4 * hop, hop=hop) / rate
    middles = [float(end + start) / 2 for (_, end), (start, _) in pairwise(parts) if start - end >= PAUSE]
    cuts = [0.0]
    while total - cuts[-1] > LONGEST:
        fitting = [middle for middle in middles if SHORTEST <= middle - cuts[-1] <= LONGEST]
        if not fitting:
            raise DataError(
                f"the recording lasts {total:.0f} seconds, and has no pause between {cuts[-1]:.0f} and "
                f"{cuts[-1] + LONGEST:.0f} seconds where it can be cut",
                hint="record a file for each sentence, or make a short pause after each",
            )
        cuts.append(_best(fitting, cuts[-1]))
    cuts.append(total)
    places = [round(cut * rate) for cut in cuts]
    return [Audio(np.ascontiguousarray(mono.samples[a:b]), rate) for a, b in pairwise(places)]


def _best(middles: list[float], start: float) -> float:
    """The first pause after half of the longest piece, else the last one before it."""
    return next((middle for middle in middles if middle - start >= LONGEST / 2), middles[-1])
