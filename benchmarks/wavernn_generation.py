"""Speed of WaveRNN's generation against its multiply-adds and against a naive loop, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/wavernn_generation.py [CARD] [FRAMES]

The bound is the time of the network's matrix products alone, at the rate that the same shapes reach with numpy when
they are computed again and again. The naive loop calls the layers for every sample of one wave. Times are processor
times, so other programs count little.
"""

import sys
import time

import torch
from wavenet_generation import seconds_of_products

import amphion_core as amphion
from amphion_vocoders.models import wavernn_generation
from amphion_vocoders.models.wavernn_generation import generate

NAIVE_FRAMES = 1


def main() -> None:
    """Print the table."""
    card = sys.argv[1] if len(sys.argv) > 1 else "vocoder/wavernn@logistics"
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    torch.set_num_threads(1)
    net = amphion.build(card).for_inference()
    c, around = net.config, 2 * net.config.context
    hop, quarter = c.mel.hop_length, c.auxiliary_channels // 4
    shapes = [
        (1 + c.mel.n_mels + quarter, c.channels), (c.channels, 3 * c.channels), (c.channels, 3 * c.channels),
        (c.channels + quarter, 3 * c.channels), (c.channels, 3 * c.channels), (c.channels + quarter, c.head_channels),
        (c.head_channels + quarter, c.head_channels), (c.head_channels, net.distribution.channels),
    ]  # fmt: skip
    operations = sum(a * b for a, b in shapes)
    rate = operations * c.mel.sample_rate / 1e9
    print(f"{card}: {operations / 1e6:.2f} M multiply-adds a sample, {rate:.0f} G a second of audio")
    generate(net, torch.rand(1, c.mel.n_mels, around + 1), seeds=[0])  # compiles
    wavernn_generation.COMPILED = False
    start = time.process_time()
    generate(net, torch.rand(1, c.mel.n_mels, around + NAIVE_FRAMES), seeds=[0])
    naive = (time.process_time() - start) / NAIVE_FRAMES / hop
    wavernn_generation.COMPILED = True
    print(f"naive loop: {naive * 1e6:.0f} us a sample")
    for rows in (1, 8, 16, 32, 64):
        bound = seconds_of_products(shapes, rows, 20)
        mel = torch.rand(rows, c.mel.n_mels, around + frames)
        start = time.process_time()
        generate(net, mel, seeds=list(range(rows)))
        spent = (time.process_time() - start) / frames / hop
        print(
            f"{rows:3} waves: {spent * 1e6:7.0f} us a step, {spent / bound:.2f} x the products; "
            f"{spent / rows * 1e6:6.0f} us a sample, {naive * rows / spent:.0f} x as fast as the naive loop; "
            f"real-time factor {spent / rows * c.mel.sample_rate:.2f}"
        )


if __name__ == "__main__":
    main()
