"""What trackers with pitch bins share: F0 from the probabilities of bins, and long recordings in windows."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from amphion_core.features.f0 import Array
from amphion_svc.features.windows import in_windows

REACH = 4  # bins on either side of the largest one that are averaged


def local_average(bins: Array, cents: Array) -> tuple[Array, Array]:
    """Probabilities (N, K) of bins at ``cents`` (K,) above 10 Hz -> F0 in Hz and the largest probability, (N,) each.

    F0 is the mean of the cents of the bins around the largest one, weighted by their probabilities.
    """
    index = bins.argmax(1)[:, None] + np.arange(-REACH, REACH + 1)
    near = index.clip(0, len(cents) - 1)
    weights = np.take_along_axis(bins, near, 1) * (index == near)
    mean = (weights * cents[near]).sum(1) / weights.sum(1).clip(1e-12)
    return 10 * 2 ** (mean / 1200), bins.max(1)


def windowed(
    samples: Tensor, compute: Callable[[Tensor], Tensor], hop: int, seconds: float, overlap: float, rate: int = 16000
) -> Array:
    """Bins (N, K) of a recording (T,), N = T // hop + 1, float64; long ones in windows, so that memory is bounded.

    ``compute`` maps samples (T,) to bins (T // hop + 1, K). Windows overlap by ``overlap`` seconds.
    """
    total, size = len(samples) // hop + 1, round(seconds * rate / hop)

    def window(starts: Sequence[int]) -> Tensor:
        end = None if starts[0] + size >= total else (starts[0] + size - 1) * hop
        return compute(samples[starts[0] * hop : end]).mT[None]

    found = in_windows(window, total, size, round(overlap * rate / hop), most=1)
    return found.mT.double().cpu().numpy()
