"""Exported models in onnxruntime beside the same models here: processor time for 1 s and for 10 s of audio, one thread.

Each model is exported into a temporary folder. Vocoders get a mel of noise, models of speech random ids without noise,
as many as make about that much audio. A ratio below 1 means that ours is faster. Times are processor times.
Run: python benchmarks/onnx_export.py [--rounds 3] [NAME ...]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from side_by_side import medians

from amphion_core import loading, onnx_export
from amphion_core.api import TextToSpeech

NAMES = [
    "vocoder/hifigan@v1", "vocoder/hifigan@v2", "vocoder/melgan@paper", "vocoder/vocos@mel-24khz",
    "vocoder/apnet@paper", "vocoder/bigvgan@base", "vocoder/nsf_hifigan@44k", "tts/fastspeech2@kathleen",
    "tts/vits@piper-en-us-joe",
]  # fmt: skip
TOKENS = {"tts/fastspeech2@kathleen": 14, "tts/vits@piper-en-us-joe": 39}  # about one second of audio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="cards; those without weights get random ones")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | file | export | 1 s: ours, onnxruntime, ratio | 10 s: ours, onnxruntime, ratio | difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.names or NAMES:
            compare(name, Path(folder, "model.onnx"), args.rounds)


def compare(name: str, path: Path, rounds: int) -> None:
    """Print the row of one model."""
    start = time.process_time()
    made = onnx_export.export(network(name), path)
    spent = time.process_time() - start
    session = onnx_export.open_session(path, threads=1)
    net = network(name)
    graph = net.onnx_graph()
    net.for_inference()
    cells = []
    for seconds in (1, 10):
        mel = net.config.mel
        length = TOKENS.get(name, 40) * seconds
        if not isinstance(net, TextToSpeech):
            length = round(seconds * mel.sample_rate / mel.hop_length)
        inputs = {key: one(value) for key, value in graph.inputs(length).items()}
        feeds = {key: value.numpy() for key, value in inputs.items()}
        ours, names = here(net, inputs), [output.name for output in session.get_outputs()]
        wave = session.run(names, feeds)[0]
        frames = wave.shape[2] if wave.ndim == 3 else wave.shape[1] / mel.hop_length
        candidates: dict[str, Callable[[], Any]] = {"ours": ours, "theirs": partial(session.run, names, feeds)}
        times = medians(candidates, rounds=rounds, clock=time.process_time)
        audio = frames * mel.hop_length / mel.sample_rate
        cells.append(
            f"{audio:.1f} s: {times['ours'] * 1e3:.0f} ms, {times['theirs'] * 1e3:.0f} ms, "
            f"{times['ours'] / times['theirs']:.2f}"
        )
    worst = max(made.differences.values())
    print(f"| {name} | {made.size / 1e6:.1f} MB | {spent:.0f} s | {cells[0]} | {cells[1]} | {worst:.0e} |", flush=True)


def network(name: str) -> Any:
    """The network of a card, with its weights where it has them."""
    from amphion_core import cards

    if cards.find(name).source is not None:
        return loading.open_weights(name).network()
    torch.manual_seed(0)
    return loading.build(name)


def one(value: torch.Tensor) -> torch.Tensor:
    """The first item of an example batch of two."""
    return value[:1] if value.dim() and len(value) == 2 else value


def here(net: Any, inputs: dict[str, torch.Tensor]) -> Callable[[], Any]:
    """The same work by ``net``."""
    if not isinstance(net, TextToSpeech):
        f0 = (inputs["f0"],) if "f0" in inputs else ()
        return lambda: net.vocode(inputs["mel"], *f0, seed=0)
    fields = {"noise_scale": 0.0, "duration_noise_scale": 0.0} if "noise_scale" in inputs else {}
    controls, lengths = net.controls(fields), torch.tensor([inputs["ids"].shape[1]])
    return lambda: net.synthesize(inputs["ids"], lengths, controls=controls)


if __name__ == "__main__":
    main()
