"""A long recording cut into the windows that a network hears at once."""

from amphion_eval.analysis.signals import Array

SHORTEST = 0.1  # seconds


def windows(samples: Array, rate: int, seconds: float) -> list[Array]:
    """(T,) -> pieces of ``seconds``; the last is what is left, and joins the one before below 0.1 seconds."""
    size = round(seconds * rate)
    pieces = [samples[start : start + size] for start in range(0, len(samples), size)]
    if len(pieces) > 1 and len(pieces[-1]) < SHORTEST * rate:
        pieces[-2:] = [samples[(len(pieces) - 2) * size :]]
    return pieces
