"""Cut a long recording into windows, for networks that process a limited length at once."""

from amphion_eval.analysis.signals import Array

SHORTEST = 0.1  # seconds


def windows(samples: Array, rate: int, seconds: float) -> list[Array]:
    """(T,) -> windows of ``seconds``; the last may be shorter. Below 0.1 seconds it is joined to the one before."""
    size = round(seconds * rate)
    pieces = [samples[start : start + size] for start in range(0, len(samples), size)]
    if len(pieces) > 1 and len(pieces[-1]) < SHORTEST * rate:
        pieces[-2:] = [samples[(len(pieces) - 2) * size :]]
    return pieces
