"""Two sentences are learned by heart and spoken back: the word error rate after the steps of a recipe.

A model that never can do this has a fault. FastSpeech 2 needs 600 steps, VITS 1,300. The sentences are the first two of
a prepared folder's split `train`. Networks and losses are those of the recipe; VITS has no discriminators here, which
cost half of the time. FastSpeech 2 speaks with --vocoder, or with Griffin-Lim.

VALL-E and NaturalSpeech 2 speak through a codec, which may lose words: the error of copies by the codec is printed too.
The prompt of NaturalSpeech 2 is the recording; VALL-E continues the first 1.2 seconds of it.
Run: python benchmarks/overfit.py PREPARED_FOLDER [--recipe fastspeech2_small] [--steps 600] [--vocoder VOCODER]
     python benchmarks/overfit.py PREPARED_FOLDER --recipe valle_small --codec runs/encodec_small
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader

CHANGES = {  # what is there against learning by heart is turned off
    "fastspeech2_small": [
        "trainer.metrics=[]",
        "model.dropout=0", "model.predictor_dropout=0", "trainer.duration_weight=1", "trainer.pitch_weight=1",
        "trainer.energy_weight=1", "trainer.binarization_start=50", "optim.schedule.warmup=50", "engine.ema={}",
    ],
    "vits_small": [
        "model.dropout=0", "model.duration_dropout=0", "model.segment=64", "trainer.discriminators=[]", "optim.lr=8e-4",
        "trainer.metrics=[]",
        "optim.schedule={name: exponential, gamma: 0.9, every: 500}",
    ],
    "valle_small": ["optim.schedule.warmup=20", "optim.weight_decay=0"],
    "valle_small_nar": ["optim.schedule.warmup=20", "optim.weight_decay=0"],
    "naturalspeech2_small": [
        "model.predictor_dropout=0", "model.denoiser_dropout=0", "trainer.aligner_steps=200",
        "trainer.binarization_start=100", "optim.schedule.warmup=50", "engine.ema={}",
    ],
}  # fmt: skip
STAGES = {"valle_small": ("valle_small", "valle_small_nar")}
PROMPT = 1.2  # seconds of a recording that VALL-E continues


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared")
    parser.add_argument("--recipe", default="fastspeech2_small")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--vocoder")
    parser.add_argument("--codec", help="a run of a codec, for valle_small and naturalspeech2_small")
    args = parser.parse_args()
    metric_class = amphion.get("metrics", "wer")
    metric = metric_class(metric_class.Config())
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder, "data"), Path(folder, "run")
        sentences = two_sentences(Path(args.prepared), data)
        if args.codec:
            codec = amphion.task("codec", model=args.codec)
            copies = [metric.measure(codec.generate(recording), text=text) for text, recording in sentences]
            print(f"copies by the codec: {metric.aggregate(copies).value:.1f} % of the words wrong", flush=True)
        start = time.perf_counter()
        for stage in STAGES.get(args.recipe, (args.recipe,)):
            changes = ["data.dev=train", f"engine.steps={args.steps}", *CHANGES.get(stage, [])]
            changes += [f"model.codec={Path(args.codec).absolute()}"] if args.codec else []
            changes += [f"engine.init_from={run}"] if run.exists() else []
            run = Path(folder, stage)
            command = ["train", stage, f"data.root={data}", *changes, "--out", str(run)]
            subprocess.run([sys.executable, "-m", "amphion_core.cli.main", *command], check=True)
        minutes = (time.perf_counter() - start) / 60
        task = amphion.task("tts", model=str(run), vocoder=args.vocoder)
        scores = [metric.measure(spoken(task, *sentence), text=sentence[0]) for sentence in sentences]
    for (text, _), score in zip(sentences, scores, strict=True):
        print(f"{score.value:5.1f} %  {text}\n   heard: {score.notes['heard']}")
    total = metric.aggregate(scores).value
    print(f"{args.recipe}, {args.steps} steps, {minutes:.1f} minutes: {total:.1f} % of the words wrong")


def spoken(task: Any, text: str, recording: Audio) -> Audio:
    """The sentence as the model says it; with the beginning of the recording where the model continues it."""
    if not task.net.takes_prompt:
        return task.generate(text)
    if not task.net.needs_prompt_text:
        return task.generate(task.request(text=text, prompt=recording))
    begin = recording.samples[..., : round(PROMPT * recording.sample_rate)]
    controls = {"continuation": True, "temperature": 0.0}
    request = task.request(text=text, prompt=Audio(begin, recording.sample_rate), controls=controls)
    rest = task.generate(request)
    begin = Audio(begin, recording.sample_rate).resample(rest.sample_rate)
    return Audio(np.concatenate([begin.samples, rest.samples], axis=-1), rest.sample_rate)


def two_sentences(prepared: Path, data: Path) -> list[tuple[str, Audio]]:
    """A prepared folder with the first two items of ``prepared``; returns their texts and recordings."""
    data.mkdir()
    shutil.copy(prepared / "dataset.yaml", data)
    lines = (prepared / "train.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    (data / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    reader = Reader()
    return [
        (record.utterance.text, Audio(reader.read(record.utterance, record.rate), record.rate))
        for record in Manifest(data, "train")
    ]


if __name__ == "__main__":
    main()
