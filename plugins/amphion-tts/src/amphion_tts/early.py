"""Decodes the beginning of a sentence before its rest, so that its audio is ready early."""

from collections.abc import Callable, Iterator

from torch import Tensor

FIRST = 0.4  # seconds; the rest of a sentence is decoded while they play


def in_two(decode: Callable[[Tensor], Tensor], x: Tensor, *, context: int, hop: int, rate: int) -> Iterator[Tensor]:
    """``decode(x)``, (1, C, N) -> (1, T) with T = N * hop at ``rate`` Hz, in two parts: the same to rounding.

    ``context`` is the number of frames before and behind a frame that its audio depends on. These frames are decoded
    twice. A short ``x`` comes as a whole.
    """
    first = round(FIRST * rate / hop)
    if x.shape[-1] < 2 * (first + context):
        yield decode(x)
        return
    yield decode(x[..., : first + context])[:, : first * hop]
    before = min(first, context)
    yield decode(x[..., first - before :])[:, before * hop :]
