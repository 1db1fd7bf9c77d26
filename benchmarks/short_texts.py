"""Texts of 1 to 400 ids on a CPU: VITS against onnxruntime, and HiFi-GAN against transformers, on idle and busy cores.

Prints the tables of docs/performance.md. Each row measures both programs in turn and gives medians. "Busy" means that
another process computes without pause on one core. Needs the extra amphion-tts[voice], onnxruntime and transformers.
Run: python benchmarks/short_texts.py [number of rounds, default 15]
"""

import sys
from collections.abc import Callable

import torch
from hifigan import theirs_and_ours
from side_by_side import busy_process, medians

import amphion_core as amphion
from amphion_core import cards

VOICE = "tts/vits@piper-en-us-joe"
LENGTHS = (1, 2, 3, 5, 8, 13, 20, 39, 60, 100, 160, 240, 400)
FRAMES = 200


def both(length: int, threads: int, net: object, path: str) -> tuple[dict[str, Callable[[], object]], float]:
    """Our call and onnxruntime's for one random text, and the seconds of audio that it gives."""
    import onnxruntime

    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    generator = torch.Generator().manual_seed(length)
    ids, lengths = torch.randint(14, 120, (1, length), generator=generator), torch.tensor([length])
    controls = net.controls({"noise_scale": 0.0, "duration_noise_scale": 0.0})  # type: ignore[attr-defined]
    feeds = {"input": ids.numpy(), "input_lengths": lengths.numpy(), "scales": torch.tensor([0.0, 1.0, 0.0]).numpy()}
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: net.synthesize(ids, lengths, controls=controls),  # type: ignore[attr-defined]
        "onnxruntime": lambda: session.run(None, feeds),
    }
    wave = net.synthesize(ids, lengths, controls=controls).wave[0]  # type: ignore[attr-defined]
    difference = float((wave - torch.from_numpy(session.run(None, feeds)[0]).flatten()).abs().max())
    assert difference < 1e-3, f"{length} ids: the waves differ by {difference}"
    return calls, len(wave) / net.config.mel.sample_rate  # type: ignore[attr-defined]


def texts(rounds: int) -> None:
    """Table of milliseconds and ratios for each length."""
    net, path = amphion.load(VOICE), str(cards.find(VOICE).path())
    print(
        "| ids | audio | 1 thread: ours, onnxruntime, ratio | 2 threads: ours, onnxruntime, ratio | 2 threads, busy |"
    )
    print("| --- | --- | --- | --- | --- |")
    for length in LENGTHS:
        cells = []
        for threads, busy in ((1, False), (2, False), (2, True)):
            calls, seconds = both(length, threads, net, path)
            count = rounds if length < 100 else -(-rounds // 2)
            with busy_process(busy):
                times = medians(calls, rounds=count)
            milliseconds = [f"{times[name] * 1e3:.0f} ms" for name in ("ours", "onnxruntime")]
            cells.append(", ".join([*milliseconds, f"{times['ours'] / times['onnxruntime']:.2f}"]))
        print(f"| {length} | {seconds:.2f} s | {' | '.join(cells)} |", flush=True)


def vocoder(rounds: int) -> None:
    """Table of HiFi-GAN V1's speed relative to transformers."""
    theirs, ours, _ = theirs_and_ours()
    mel = torch.randn(1, 80, FRAMES)
    print("| HiFi-GAN V1 | idle cores: ours, transformers, ratio | busy: ours, transformers, ratio |")
    print("| --- | --- | --- |")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        cells = []
        for busy in (False, True):
            with busy_process(busy), torch.inference_mode():
                times = medians({"ours": lambda: ours.vocode(mel), "theirs": lambda: theirs(mel[0].mT)}, rounds=rounds)
            ratio = times["theirs"] / times["ours"]
            cells.append(f"{times['ours'] * 1e3:.0f} ms, {times['theirs'] * 1e3:.0f} ms, {ratio:.2f} x as fast")
        print(f"| {threads} thread(s) | {' | '.join(cells)} |", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    texts(rounds)
    print()
    vocoder(-(-rounds // 2))


if __name__ == "__main__":
    main()
