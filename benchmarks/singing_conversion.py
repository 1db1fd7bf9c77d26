"""How good converters are on recordings that they have not heard: melody against the source, voice against the target.

RECORDINGS has one folder for each singer: audio that no model was trained on. Its first file is the source that is
converted; all singers' files together describe their voices. Each source gets two voices: of a singer whose folder has
the same first two letters, and of one with others. Models with names of singers must know the names of the folders.
Run: python benchmarks/singing_conversion.py RECORDINGS PLACE [PLACE ...] [--known FOLDER] [--control steps=1] [--wer]
--known FOLDER has the recordings of training, by singer: they describe the voices, and are the targets of svc/world.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import amphion_core as amphion
from amphion_core.api import Audio, FeaturePart, Metric, MetricPart

TARGET = 8  # recordings of a singer that describe the voice
METRICS = (
    MetricPart.named("fpc", tracker="swift"),
    MetricPart.named("f0_rmse", tracker="swift", key_shift=None),
    MetricPart.named("vuv_f1", tracker="swift"),
)
HEADER = ("to target", "to source", "nearer to target", "fpc, mean", "median", "F0 error, cents (median)", "voiced F1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("places", nargs="+")
    parser.add_argument("--known", type=Path)
    parser.add_argument("--control", action="append", default=[])
    parser.add_argument("--vocoder", default="vocoder/griffin_lim")
    parser.add_argument("--wer", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("converted"))
    args = parser.parse_args()
    voices = args.known or args.recordings
    scores = Scores(voices, wer=args.wer)
    columns = [*HEADER, *(["word errors, %"] if args.wer else []), "seconds for each second"]
    print(f"| converter | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for place in args.places:
        print(row(place, args, voices, scores), flush=True)


def row(place: str, args: Any, voices: Path, scores: "Scores") -> str:
    """Convert every pair with the converter at ``place``; one line of the table."""
    task = amphion.task("svc", model=place, **({} if place == "svc/world" else {"vocoder": args.vocoder}))
    controls = dict(each.split("=", 1) for each in args.control) if place != "svc/world" else {}
    out = args.out / place.strip("/").replace("/", "_")
    out.mkdir(parents=True, exist_ok=True)
    found, spent, seconds = [], 0.0, 0.0
    for source, target in pairs(args.recordings):
        song = Audio.load(first(args.recordings / source))
        voice = {"target": joined(voices / target)} if place == "svc/world" else {"singer": target}
        start = time.process_time()
        made = Audio.concatenate(list(task.convert(task.plan(task.request(audio=song, controls=controls, **voice)))))
        spent, seconds = spent + time.process_time() - start, seconds + song.duration
        made.save(out / f"{source}_as_{target}.flac")
        found.append(scores(song, made, source, target))
    values = np.array(found)
    mean, median = np.nanmean(values, 0), np.nanmedian(values, 0)
    cells = [*mean[:4], median[3], median[4], *mean[5:], spent / seconds]
    return f"| `{place}` | {' | '.join(f'{cell:.3g}' for cell in cells)} |"


def pairs(folder: Path) -> list[tuple[str, str]]:
    """Sources with their targets, the same in each run."""
    singers, draw = sorted(path.name for path in folder.iterdir()), random.Random(3)
    found = []
    for source in singers:
        others = [name for name in singers if name != source]
        alike = [name for name in others if name[:2] == source[:2]]
        found.append((source, draw.choice(alike or others)))
        found.append((source, draw.choice([name for name in others if name not in alike] or others)))
    return found


def first(folder: Path) -> Path:
    return sorted(folder.iterdir())[0]


def joined(folder: Path) -> Audio:
    """The first recordings of a singer, one after the other."""
    return Audio.concatenate([Audio.load(path).mono().resample(24000) for path in sorted(folder.iterdir())[:TARGET]])


class Scores:
    """The scores of one conversion. A voice is described by the mean of the vectors of its recordings."""

    def __init__(self, voices: Path, *, wer: bool) -> None:
        self.voices = voices
        self.encoder = FeaturePart.named("speaker_embedding").build()
        self.metrics: list[Metric] = [part.build() for part in METRICS]
        if wer:
            self.metrics.append(MetricPart.named("wer_reference").build())
        self._known: dict[str, Any] = {}

    def __call__(self, song: Audio, made: Audio, source: str, target: str) -> list[float]:
        """Similarity to both voices, whether that to the target is higher, and the metrics against the source."""
        own = self.vector([made])
        to_target, to_source = float(own @ self.voice(target)), float(own @ self.voice(source))
        compared = [metric.score(made, song) for metric in self.metrics]
        return [to_target, to_source, to_target > to_source, *compared]

    def voice(self, singer: str) -> Any:
        """The vector of a singer (G,), of length 1."""
        if singer not in self._known:
            paths = sorted((self.voices / singer).iterdir())[:TARGET]
            self._known[singer] = self.vector([Audio.load(path) for path in paths])
        return self._known[singer]

    def vector(self, sounds: list[Audio]) -> Any:
        rows = [self.encoder.extract(wave(sound.normalize(), self.encoder.sample_rate))[0].numpy() for sound in sounds]
        mean = np.mean(rows, 0)
        return mean / np.linalg.norm(mean)


def wave(sound: Audio, rate: int) -> Any:
    """(1, T) at ``rate`` Hz."""
    return torch.from_numpy(np.ascontiguousarray(sound.mono().resample(rate).samples))[None]


if __name__ == "__main__":
    main()
