"""Intelligibility and latency of the default voice: word error rate of 20 sentences, and the time to the first audio.

Prints the word error rate of the corpus, the sentences with errors, the real-time factor, and for a long text the time
to the first audio and to the last. Run: python benchmarks/intelligibility.py
"""

import statistics
import time

import torch

import amphion_core as amphion
from amphion_core.api import Audio

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
)


def main() -> None:
    torch.set_num_threads(1)
    task = amphion.task("tts")
    metric_class = amphion.get("metrics", "wer")
    metric = metric_class(metric_class.Config())
    task.generate(SENTENCES[0])  # warm up
    scores, factors = [], []
    for text in SENTENCES:
        start = time.perf_counter()
        audio: Audio = task.generate(text)
        factors.append((time.perf_counter() - start) / audio.duration)
        score = metric.measure(audio, text=text)
        scores.append(score)
        if score.value:
            print(f"  with errors ({score.value:.1f} %): {text}")
    print(f"voice {task.model_name}, {len(SENTENCES)} sentences, one thread")
    print(f"word error rate, corpus: {metric.aggregate(scores).value:.2f} %")
    print(f"real-time factor, median: {statistics.median(factors):.3f}")
    start = time.perf_counter()
    pieces = iter(task.stream(" ".join(SENTENCES)))
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
