"""Speed of the data: decoding, crops, F0 on one and two processes, mels in batches, a manifest of a million records.

Rates are seconds of audio per second, on one core. ``AMPHION_SHARED`` names the folder that contains data/kathleen_en.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

import amphion_core as amphion
from amphion_core import yaml
from amphion_core.data.config import DataConfig
from amphion_core.data.extraction import complete_features
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.loader import Corpus
from amphion_core.data.manifest import Manifest
from amphion_core.data.prepare import prepare
from amphion_core.data.reading import Reader
from amphion_core.parts import FeaturePart

VOICE = Path(os.environ.get("AMPHION_SHARED", "../shared")) / "data" / "kathleen_en"
RECORDS = 1_000_000


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        reader = amphion.get("datasets", "ljspeech")
        list(prepare(reader(reader.Config(root=str(VOICE))), VOICE, folder / "voice"))
        decoding(Manifest(folder / "voice"))
        crops(folder)
        features(folder / "voice")
        huge(folder / "large")


def decoding(manifest: Manifest) -> None:
    """Whole utterances, FLAC at 22.05 kHz."""
    reader, rates = Reader(), []
    for _ in range(5):
        start, seconds = time.perf_counter(), 0.0
        for index in range(len(manifest)):
            seconds += len(reader.read(manifest[index].utterance, 22050)) / 22050
        rates.append(seconds / (time.perf_counter() - start))
    print(f"decoding FLAC: {statistics.median(rates):.0f} times real time")


def crops(folder: Path) -> None:
    """Crops of 8192 samples out of recordings of half an hour."""
    root = folder / "long"
    root.mkdir()
    random = np.random.default_rng(0)
    noise = (np.cumsum(random.standard_normal(22050 * 1800)) % 1 * 0.2).astype(np.float32)
    for suffix in ("wav", "flac"):
        corpus_folder = root / suffix
        corpus_folder.mkdir()
        for number in range(2):
            soundfile.write(corpus_folder / f"{number}.{suffix}", noise, 22050)
        reader = amphion.get("datasets", "folder")
        list(prepare(reader(reader.Config(root=str(corpus_folder))), corpus_folder, folder / f"long-{suffix}"))
        corpus = Corpus(DataConfig(root=str(folder / f"long-{suffix}"), crop=8192), "train", rate=22050, seed=0)
        rates = []
        for turn in range(5):
            start = time.perf_counter()
            for number in range(200):
                corpus.example(number % len(corpus), (turn, number))
            rates.append(200 * 8192 / 22050 / (time.perf_counter() - start))
        print(f"crops of 0.37 s from {suffix} recordings of 30 min: {statistics.median(rates):.0f} times real time")


def features(prepared: Path) -> None:
    """Cached mels and F0 by DIO of a corpus: one process against two. The start of the processes is included."""
    for name in ("mel", "f0_dio"):
        seconds = {}
        for processes in (1, 2):
            cache = FeatureCache(Manifest(prepared), FeaturePart.named(name), prepared / f"features-{processes}")
            start = time.perf_counter()
            list(complete_features([cache], device="cpu", processes=processes))
            seconds[processes] = time.perf_counter() - start
        rate = float(cache.manifest.durations.sum()) / seconds[1]
        print(f"{name}: {rate:.0f} times real time on one process; two take {seconds[2] / seconds[1]:.2f} of its time")


def huge(folder: Path) -> None:
    """Writes a million records; another process indexes, plans and reads them, and measures its memory."""
    folder.mkdir()
    (folder / "dataset.yaml").write_text(yaml.dump({"root": str(folder)}), encoding="utf-8")
    random = np.random.default_rng(0)
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for number, duration in enumerate(random.uniform(1, 20, RECORDS).round(3).tolist()):
            record = {"id": f"u{number:07d}", "path": f"{number % 1000:03d}/u{number:07d}.flac", "duration": duration}
            record |= {
                "text": "a sentence of a usual length, which a manifest carries along",
                "speaker": f"s{number % 999}",
            }
            file.write(json.dumps(record | {"split": "train", "rate": 24000, "digest": f"{number:024x}"}) + "\n")
    for what in ("first time, with the index made", "again"):
        done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=True)
        print(f"a million records, {what}: {done.stdout.strip()}")


def read_huge(folder: Path) -> None:
    from itertools import islice

    from amphion_core.data.loader import Position, steps_from

    start = time.perf_counter()
    Manifest.require_audio = lambda self: None  # type: ignore[method-assign] # there is none
    corpus = Corpus(DataConfig(root=str(folder), budget=120), "train", rate=24000, seed=0)
    for _, step in islice(steps_from(corpus, Position(), micro_batches=8), 1000):
        for item in step[3]:  # one process's share of eight
            corpus.manifests[0][int(item)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.perf_counter() - start:.1f} s to read, plan and sample 1000 steps; {peak:.2f} GiB resident at most")


if __name__ == "__main__":
    read_huge(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
