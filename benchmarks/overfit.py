"""Two sentences are learned by heart and spoken back: the word error rate after the steps of a recipe.

A model that never can do this has a fault. FastSpeech 2 needs 600 steps, VITS 1,300. The sentences are the first two of
a prepared folder's split `train`. Networks and losses are those of the recipe; VITS has no discriminators here, which
cost half of the time. FastSpeech 2 speaks with --vocoder, or with Griffin-Lim.
Run: python benchmarks/overfit.py PREPARED_FOLDER [--recipe fastspeech2_small] [--steps 600] [--vocoder VOCODER]
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import amphion_core as amphion
from amphion_core.data.manifest import Manifest

CHANGES = {  # what is there against learning by heart is turned off
    "fastspeech2_small": [
        "model.dropout=0", "model.predictor_dropout=0", "trainer.duration_weight=1", "trainer.pitch_weight=1",
        "trainer.energy_weight=1", "trainer.binarization_start=50", "optim.schedule.warmup=50", "engine.ema={}",
    ],
    "vits_small": [
        "model.dropout=0", "model.duration_dropout=0", "model.segment=64", "trainer.discriminators=[]", "optim.lr=8e-4",
        "optim.schedule={name: exponential, gamma: 0.9, every: 500}",
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prepared")
    parser.add_argument("--recipe", default="fastspeech2_small")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--vocoder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder, "data"), Path(folder, "run")
        texts = two_sentences(Path(args.prepared), data)
        changes = ["data.dev=train", "trainer.metrics=[]", f"engine.steps={args.steps}"]
        start = time.perf_counter()
        changes += CHANGES.get(args.recipe, [])
        command = ["train", args.recipe, f"data.root={data}", *changes, "--out", str(run)]
        subprocess.run([sys.executable, "-m", "amphion_core.cli.main", *command], check=True)
        minutes = (time.perf_counter() - start) / 60
        task = amphion.task("tts", model=str(run), vocoder=args.vocoder)
        metric_class = amphion.get("metrics", "wer")
        metric = metric_class(metric_class.Config())
        scores = [metric.measure(task.generate(text), text=text) for text in texts]
    for text, score in zip(texts, scores, strict=True):
        print(f"{score.value:5.1f} %  {text}\n   heard: {score.notes['heard']}")
    total = metric.aggregate(scores).value
    print(f"{args.recipe}, {args.steps} steps, {minutes:.1f} minutes: {total:.1f} % of the words wrong")


def two_sentences(prepared: Path, data: Path) -> list[str]:
    """A prepared folder with the first two items of ``prepared``; returns their texts."""
    data.mkdir()
    shutil.copy(prepared / "dataset.yaml", data)
    lines = (prepared / "train.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    (data / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [record.utterance.text for record in Manifest(data, "train")]


if __name__ == "__main__":
    main()
