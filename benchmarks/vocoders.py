"""Every vocoder in one run: parameters, multiply-adds for a second of audio, and its time relative to HiFi-GAN V1.

The networks are built with random weights, prepared for inference, and vocode the same length of noise on one thread.
Times are processor times, which another busy program disturbs little. Multiply-adds are those of convolutions and
matrix products that torch counts; loops over samples are compiled outside of torch, and have none in the table.
Run: python benchmarks/vocoders.py [--seconds 2] [NAME ...]
"""

import argparse
import time

import torch
from side_by_side import medians
from torch.utils.flop_counter import FlopCounterMode

from amphion_core import cards, loading
from amphion_core.api import Vocoder

REFERENCE = "vocoder/hifigan@v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="vocoders or cards; default: the cards without weights")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = args.names or sorted(card.name for card in cards.cards("vocoder/"))
    reference = prepared(REFERENCE, args.seconds)
    print("| vocoder | parameters, M | multiply-adds, G a second | real-time factor | time / that of HiFi-GAN V1 |")
    print("| --- | --- | --- | --- | --- |")
    for name in names:
        net, inputs, seconds = prepared(name, args.seconds)
        candidates = {"this": lambda net=net, given=inputs: net.vocode(*given, seed=0), "v1": lambda: run(reference)}
        times = medians(candidates, rounds=args.rounds, clock=time.process_time)
        factor, other = times["this"] / seconds, times["v1"] / reference[2]
        millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
        print(
            f"| {name} | {millions:.1f} | {work(name, inputs, seconds)} | {factor:.3f} | {factor / other:.2f} |",
            flush=True,
        )


def prepared(name: str, seconds: float) -> tuple[Vocoder, tuple[torch.Tensor, ...], float]:
    """The network, its inputs (a mel of noise, and F0 where it needs one), and the seconds that they stand for."""
    torch.manual_seed(0)
    net = loading.build(name).for_inference()
    mel = net.config.mel
    frames = round(seconds * mel.sample_rate / mel.hop_length)
    inputs = [torch.randn(1, mel.n_mels, frames) - 4]
    if net.needs_f0:
        inputs.append(torch.full((1, frames), 200.0))
    return net, tuple(inputs), frames * mel.hop_length / mel.sample_rate


def work(name: str, inputs: tuple[torch.Tensor, ...], seconds: float) -> str:
    """Multiply-adds for a second of audio, 10^9, by the network as it is trained: reordered weights are not counted."""
    net = loading.build(name).eval()
    if hasattr(net, "negative_log_likelihood"):  # generates sample by sample
        return ""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.vocode(*inputs, seed=0)
    return f"{counter.get_total_flops() / 2e9 / seconds:.1f}"


def run(prepared: tuple[Vocoder, tuple[torch.Tensor, ...], float]) -> None:
    net, inputs, _ = prepared
    net.vocode(*inputs, seed=0)


if __name__ == "__main__":
    main()
