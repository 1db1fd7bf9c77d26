"""Speed of WaveNet's generation against its multiply-adds and against a naive loop, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/wavenet_generation.py [CARD] [FRAMES]

The bound is the time of the matrix products alone, at the rate that NumPy reaches for the same shapes when they are
computed again and again. The naive loop computes the whole receptive field with torch for every sample; a few samples
are timed. Times are processor times, the shortest of five rounds, so other programs count little.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

import amphion_core as amphion
from amphion_vocoders.models.wavenet_generation import ROWS, generate


def seconds_of_products(shapes: list[tuple[int, int]], rows: int, repeats: int = 50) -> float:
    """Seconds of one product of ``rows`` rows with a matrix of each shape, the best of five rounds."""
    pairs = [(np.ones((rows, a), np.float32), np.ones((a, b), np.float32), np.empty((rows, b), np.float32))
             for a, b in shapes]  # fmt: skip

    def products() -> None:
        for left, right, out in pairs:
            np.dot(left, right, out)

    return shortest(products, repeats)


def shortest(work: Callable[[], object], repeats: int = 1) -> float:
    """Processor seconds of ``work``, the average of some repetitions, in the shortest of five rounds."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(repeats):
            work()
        best = min(best, (time.process_time() - start) / repeats)
    return best


def main() -> None:
    """Print the table."""
    card = sys.argv[1] if len(sys.argv) > 1 else "vocoder/wavenet@logistics"
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    torch.set_num_threads(1)
    net = amphion.build(card).for_inference()
    c = net.config
    samples = frames * c.mel.hop_length
    layer = [(c.kernel * c.channels, c.gate_channels), (c.gate_channels // 2, c.channels + c.skip_channels)]
    mel_shape = (c.mel.n_mels, c.layers * c.gate_channels)
    ends = [(c.skip_channels, c.skip_channels), (c.skip_channels, net.distribution.channels)]
    operations = sum(a * b for a, b in layer * c.layers + ends + [mel_shape])
    rate = operations * c.mel.sample_rate / 1e9
    print(f"{card}: {operations / 1e6:.2f} M multiply-adds a sample, {rate:.0f} G a second of audio")
    generate(net, net.condition(torch.randn(1, c.mel.n_mels, 4)), None, seed=0)  # compiles
    reach = (c.kernel - 1) * sum(c.dilations) + 1
    condition = net.condition(torch.randn(1, c.mel.n_mels, -(-reach // c.mel.hop_length)))[..., :reach]
    with torch.no_grad():
        inputs = net._inputs(torch.zeros(1, reach))
        naive = shortest(lambda: net.predict(inputs, condition, None))
    for rows in (1, 4, ROWS):
        bound = seconds_of_products(layer * c.layers + ends, rows) + seconds_of_products([mel_shape], 64 * rows, 3) / 64
        mels = net.condition(torch.randn(rows, c.mel.n_mels, frames)).detach()
        spent = shortest(lambda mels=mels: generate(net, mels, None, seed=0)) / samples
        print(
            f"{rows:3} waves: {spent * 1e6:7.0f} us a step, {spent / bound:.2f} x the products; "
            f"{spent / rows * 1e6:6.0f} us a sample, {naive * rows / spent:.0f} x as fast as the naive loop; "
            f"real-time factor {spent / rows * c.mel.sample_rate:.2f}"
        )


if __name__ == "__main__":
    main()
