"""Encoding and decoding by every codec: real-time factors, times relative to the packages, and memory for an hour.

The networks have random weights and are prepared for inference. Times are processor times on one thread, medians of
alternating runs. The packages run their own networks: ``encodec``, ``transformers`` (DAC), ``speechtokenizer``.
Run: python benchmarks/codecs.py [--seconds 4] [--hour] [NAME ...]      --hour: one hour of noise, and the peak memory
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator

import torch
from side_by_side import medians
from torch import Tensor

from amphion_core import loading
from amphion_core.api import Codec

NAMES = ("codec/encodec", "codec/dac", "codec/speechtokenizer")
Coding = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hour", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| codec | encode, real-time factor | time / package | decode, real-time factor | time / package |")
    print("| --- | --- | --- | --- | --- |")
    for name in args.names:
        torch.manual_seed(0)
        net: Codec = loading.build(name).for_inference()
        if args.hour:
            hour(name, net)
        else:
            compare(name, net, args.seconds, args.rounds)


def compare(name: str, net: Codec, seconds: float, rounds: int) -> None:
    """One row of the table: ours beside the package."""
    wave = torch.randn(1, 1, round(seconds * net.frame_rate) * net.hop_length) * 0.1
    codes = net.encode(wave)
    encode, decode = PACKAGES[name]() if name in PACKAGES else (None, None)
    cells = []
    for ours, theirs, given in (
        (lambda: net.encode(wave), encode, wave),
        (lambda: net.decode(codes), decode, codes.indices),
    ):
        candidates = {"ours": ours}
        if theirs is not None:
            candidates["package"] = lambda theirs=theirs, given=given: theirs(given)
        with torch.no_grad():
            times = medians(candidates, rounds=rounds, clock=time.process_time)
        ratio = f"{times['ours'] / times['package']:.2f}" if theirs else ""
        cells += [f"{times['ours'] / seconds:.3f}", ratio]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def hour(name: str, net: Codec) -> None:
    """Encode and decode an hour of noise piece by piece, and print the largest memory of the process."""
    rate = net.sample_rate
    generator = torch.Generator().manual_seed(0)

    def noise() -> Iterator[Tensor]:
        for _ in range(3600):
            yield torch.randn(1, 1, rate, generator=generator) * 0.1

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin = time.process_time()
    codes = net.encode_pieces(noise())
    samples = sum(piece.shape[2] for piece in net.decode_pieces(codes))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.process_time() - begin
    print(
        f"{name}: {samples / rate:.0f} s in {seconds:.0f} s, {before:.0f} MB before, at most {peak:.0f} MB", flush=True
    )


def of_encodec() -> Coding:
    """The authors' package, with 32 codebooks."""
    from encodec import EncodecModel

    net = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    return (
        lambda wave: net.encode(wave)[0][0],
        lambda indices: net.decode([(indices.transpose(0, 1), None)]),
    )


def of_dac() -> Coding:
    """DacModel of transformers, 44.1 kHz."""
    from transformers import DacConfig, DacModel

    net = DacModel(DacConfig(sampling_rate=44100)).eval()
    return (
        lambda wave: net.encode(wave).audio_codes,
        lambda indices: net.decode(audio_codes=indices.transpose(0, 1)).audio_values,
    )


def of_speechtokenizer() -> Coding:
    """The authors' package, with their configuration."""
    from speechtokenizer.model import SpeechTokenizer

    net = SpeechTokenizer({
        "n_filters": 64, "dimension": 1024, "strides": [8, 5, 4, 2], "lstm_layers": 2, "bidirectional": True,
        "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1, "activation": "ELU",
        "sample_rate": 16000, "n_q": 8, "codebook_size": 1024, "semantic_dimension": 768,
    }).eval()  # fmt: skip
    return net.encode, net.decode


PACKAGES: dict[str, Callable[[], Coding]] = {
    "codec/encodec": of_encodec,
    "codec/dac": of_dac,
    "codec/speechtokenizer": of_speechtokenizer,
}


if __name__ == "__main__":
    main()
