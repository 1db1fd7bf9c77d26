"""Encode and decode recordings, and measure what a neural codec loses: bitrate, PESQ, STOI, similarity of the voice."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.errors import AmphionError, DataError
from amphion_vocoders.codec_files import add_arguments, coding, open_task, process, write_audio
from amphion_vocoders.vocode_sources import pairs

if TYPE_CHECKING:
    from amphion_core.component import Metric
    from amphion_vocoders.codec_task import CodecTask

METRICS = "pesq_wb,stoi,speaker_similarity"
MEASURED = 30.0  # seconds from the beginning of a recording that metrics compare


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion codec roundtrip``."""
    add_arguments(
        parser, source="an audio file, or a folder of them", out="the audio file to write, or a folder", audio_out=True
    )
    parser.add_argument(
        "--metrics",
        default=METRICS,
        help="metrics of amphion-eval, separated by commas, or none (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode and decode each file. A failure does not stop the others. Exit code 1 if any failed."""
    files, skipped = pairs(args.source, args.out, args.format and f".{args.format}", also=(), done="decoded")
    task, metrics = open_task(args), _metrics(args.metrics)

    def work(task: "CodecTask", source: Path, target: Path) -> dict[str, Any]:
        codes, samples = task.encode(source, args.codebooks)
        peak = write_audio(task, task.decode(codes, samples), target)
        scores = _scores(metrics, source, target, task.net.sample_rate)
        return coding(task, codes, samples) | {"peak": peak, "clipped": peak > 1} | scores

    results, failed = process(args, task, files, work, done="decoded", skipped=skipped)
    if results and not args.json:
        _report(results, list(metrics))
    return 1 if failed else 0


def _metrics(names: str) -> "dict[str, Metric]":
    """The metrics that are installed, by name; what is missing is reported. Raises AmphionError for a wrong name."""
    from amphion_core.parts import MetricPart
    from amphion_core.training.metrics import validation_metrics

    found: dict[str, Metric] = {}
    for name in filter(None, (word.strip() for word in names.split(","))):
        if name == "none":
            continue
        try:
            part = MetricPart.named(name)
            found |= validation_metrics([part], frozenset({"reference"}), "pairs of recording and copy")
        except (AmphionError, ValueError) as error:
            if names != METRICS:
                raise
            print(f"note: without {name}: {getattr(error, 'message', error)}", file=sys.stderr)
    return found


def _scores(metrics: "dict[str, Metric]", source: Path, target: Path, rate: int) -> dict[str, float | None]:
    """Each metric of the beginnings of both files; None where it is not defined, as PESQ of silence."""
    from amphion_core.audio import Audio
    from amphion_core.audio_files.mono import mono_pieces

    beginnings = []
    for path in (source, target) if metrics else ():
        taken, count = [], 0
        for piece in mono_pieces(path, rate):
            taken.append(Audio(piece, rate))
            count += len(piece)
            if count >= MEASURED * rate:
                break
        whole = Audio.concatenate(taken)
        beginnings.append(Audio(whole.samples[: int(MEASURED * rate)], rate))
    scores: dict[str, float | None] = {}
    for name, metric in list(metrics.items()):
        real, made = (audio.resample(metric.sample_rate or rate) for audio in beginnings)
        try:
            value = float(metric.score(made, real))
            scores[name] = round(value, 4) if math.isfinite(value) else None
        except DataError:
            scores[name] = None
        except AmphionError as error:
            print(f"note: without {name}: {error.message}", file=sys.stderr)
            del metrics[name]
    return scores


def _report(results: list[dict[str, Any]], names: list[str]) -> None:
    """One line of averages over the files."""
    seconds = sum(result["duration"] for result in results)
    parts = [f"{results[0]['bitrate'] / 1000:.2f} kbit/s"]
    for name in names:
        values = [result[name] for result in results if result.get(name) is not None]
        parts.append(f"{name} {sum(values) / len(values):.3f}" if values else f"{name} not defined")
    print(f"{', '.join(parts)} (averages over {len(results)} files, {seconds:.1f} seconds)")
