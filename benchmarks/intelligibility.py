"""Intelligibility and latency of a voice: word error rate of 24 sentences, and the time to the first audio.

Prints the word error rate of the corpus by each normalisation that is installed, the sentences with errors and what was
heard, the real-time factor, and for a long text the time to the first audio and to the last. The last four sentences
have forms that can be said in several ways. With --prepared the texts of a prepared folder's split are spoken instead,
and the recordings are recognised too: no voice can be better than they are.
Run: python benchmarks/intelligibility.py [--model VOICE] [--vocoder VOCODER] [--prepared FOLDER --split test]
"""

import argparse
import statistics
import time
from importlib.util import find_spec

import torch

import amphion_core as amphion
from amphion_core.api import Audio, Score
from amphion_core.data.manifest import Manifest
from amphion_core.data.reading import Reader

SENTENCES = (
    "The old lighthouse keeper climbed the stairs every evening before sunset.",
    "Please bring me a glass of water and two slices of bread.",
    "In 1984, the bridge carried 12,500 cars a day.",
    "She asked whether the train to Boston would leave on time.",
    "My grandmother planted 37 apple trees behind the farm.",
    "The temperature fell to minus 5 degrees during the night.",
    "How many people does it take to move a piano?",
    "Dr. Smith will see you on the 3rd of March at 10:30.",
    "He paid $4.50 for a cup of coffee at the airport.",
    "Strong winds and heavy rain are expected along the coast.",
    "The museum is closed on Mondays, except during the summer.",
    "What a beautiful garden you have behind your house!",
    "Scientists have discovered a new kind of beetle in the forest.",
    "Turn left at the second traffic light, then go straight ahead.",
    "The committee could not agree on a date for the next meeting.",
    "Our children learned to swim in the lake last year.",
    "He opened the heavy door slowly, and looked into the dark room.",
    "About 60% of the students passed the final examination.",
    "Fresh bread smells better than anything else in the morning.",
    "They walked for 3 hours without meeting another person.",
    "The meeting on Jan. 5 begins at 5:30 p.m. and ends by 7.",
    "Mr. Brown's colour television was sold for $20 in the 80s.",
    "In 2010, about one hundred and one people travelled to St. Louis.",
    "Add 2 1/2 cups of flour, and bake it at 350°F.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="card, weights folder or run; default: the default voice")
    parser.add_argument("--vocoder", help="for models whose output is a mel")
    parser.add_argument("--prepared", help="a folder of amphion prepare, whose texts are spoken")
    parser.add_argument("--split", default="test")
    args = parser.parse_args()
    torch.set_num_threads(1)
    task = amphion.task("tts", model=args.model, vocoder=args.vocoder)
    metric_class = amphion.get("metrics", "wer")
    names = ["readings", *(["whisper"] if find_spec("whisper_normalizer") else []), "none"]
    metrics = [metric_class(metric_class.Config(normalization=name)) for name in names]
    texts: tuple[str, ...] = SENTENCES
    if args.prepared:
        records = [record for record in Manifest(args.prepared, args.split) if record.utterance.text]
        texts = tuple(record.utterance.text for record in records)
        reader = Reader()
        recordings = [Audio(reader.read(record.utterance, record.rate), record.rate) for record in records]
        found = [metrics[0].measure(audio, text=text) for audio, text in zip(recordings, texts, strict=True)]
        print(f"recordings, word error rate: {metrics[0].aggregate(found).value:.2f} %")
    task.generate(texts[0])  # warm up
    scores: list[list[Score]] = []
    factors = []
    for text in texts:
        start = time.perf_counter()
        audio: Audio = task.generate(text)
        factors.append((time.perf_counter() - start) / audio.duration)
        scores.append([metric.measure(audio, text=text) for metric in metrics])  # one recognition for all
        if (score := scores[-1][0]).value:
            print(f"  with errors ({score.value:.1f} %): {text}\n    heard: {score.notes['heard']}")
    print(f"voice {task.model_name}, {len(texts)} sentences, one thread")
    for metric, found in zip(metrics, zip(*scores, strict=True), strict=True):
        print(f"word error rate, corpus ({metric.variant}): {metric.aggregate(found).value:.2f} %")
    print(f"real-time factor, median: {statistics.median(factors):.3f}")
    start = time.perf_counter()
    pieces = iter(task.stream(" ".join(texts)))
    first = next(pieces)
    after_first = time.perf_counter() - start
    rest = sum(piece.duration for piece in pieces)
    whole = time.perf_counter() - start
    print(
        f"long text, {first.duration + rest:.1f} s of audio: first audio after {after_first:.2f} s, "
        f"last after {whole:.2f} s (ratio {after_first / whole:.3f})"
    )


if __name__ == "__main__":
    main()
