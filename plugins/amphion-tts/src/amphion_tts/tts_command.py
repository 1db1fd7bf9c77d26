"""Speak a text: write it as an audio file, or stream it sentence by sentence."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.errors import DataError
from amphion_tts.request import TTSRequest

if TYPE_CHECKING:
    from amphion_core.api import Audio
    from amphion_tts.task import TTSTask

EXAMPLE = 'amphion tts "Any sentence you like."'


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion tts``; those that describe the request are generated from ``TTSRequest``."""
    parser.add_argument("text", nargs="?", help='the text to speak; "-" reads standard input')
    parser.add_argument("--file", type=Path, help="a UTF-8 text file to speak, in place of the text")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("speech.wav"), help="audio file: .wav .flac .ogg .mp3 (speech.wav)"
    )
    parser.add_argument("--model", help="card, weights folder or run; by default the first default card on this disk")
    parser.add_argument(
        "--vocoder", help="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel"
    )
    add_request_options(parser, TTSRequest, skip=("text",))
    add_device_options(parser)
    parser.add_argument(
        "--stream", action="store_true", help="write 16-bit mono PCM to standard output as it is spoken"
    )
    parser.add_argument(
        "--wer", action="store_true", help="let a speech recogniser check what was said (needs amphion-eval)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    complete(parser, model=("cards:tts", "paths"), vocoder=("cards:vocoder", "models:vocoder", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Speak the text and write the file; the last line says where it is."""
    text = _text(args)
    if not text.strip():
        raise DataError("the text is empty", hint=EXAMPLE)
    import amphion_core as amphion

    request: TTSRequest = read_request(args, amphion.get("tasks", "tts"), text=text)
    if not args.stream:
        amphion.Audio.check_target(args.out)
    scorer = amphion.get("metrics", "wer") if args.wer else None
    task: TTSTask = amphion.task(
        "tts", model=args.model, vocoder=args.vocoder, precision=args.precision, device=args.device
    )
    if args.stream:
        return _stream(task, request)
    start = time.perf_counter()
    audio = amphion.Audio.concatenate(list(_with_progress(task, request)))
    seconds = time.perf_counter() - start
    audio.save(args.out)
    result = {
        "file": str(args.out), "duration": round(audio.duration, 3), "sample_rate": audio.sample_rate,
        "real_time_factor": round(seconds / audio.duration, 4), "model": task.model_name,
    }  # fmt: skip
    if scorer:
        result["wer"] = round(scorer(scorer.Config()).score(audio, text=text), 2)
    print(json.dumps(result) if args.json else _sentence(result))
    return 0


def _text(args: argparse.Namespace) -> str:
    if (args.text is None) == (args.file is None):
        problem = "no text is given" if args.text is None else "a text and --file are given, and only one can be spoken"
        raise DataError(problem, hint=f"{EXAMPLE}, or amphion tts --file chapter.txt")
    if args.file is None:
        return sys.stdin.read() if args.text == "-" else str(args.text)
    try:
        return str(args.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{args.file} cannot be read as UTF-8 text: {error}", hint="check the path") from error


def _with_progress(task: "TTSTask", request: TTSRequest) -> "Iterator[Audio]":
    """The pieces of the stream, with a progress bar on standard error when there are several."""
    from rich.console import Console
    from rich.progress import Progress

    total = len(task.sentences(request.text))
    with Progress(console=Console(stderr=True), transient=True, disable=total < 2) as progress:
        yield from progress.track(task.stream(request), total=total, description="speaking")


def _stream(task: "TTSTask", request: TTSRequest) -> int:
    if sys.stdout.isatty():
        command = 'amphion tts --stream "..." | aplay -f S16_LE -c 1 -r'
        raise DataError("--stream writes raw audio, not for a terminal", hint=f"{command} {task.sample_rate}")
    for piece in task.stream(request):
        sys.stdout.buffer.write((piece.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
        sys.stdout.buffer.flush()
    return 0


def _sentence(result: dict[str, object]) -> str:
    wer = f", word error rate {result['wer']} %" if "wer" in result else ""
    return (
        f"wrote {result['file']}: {result['duration']} s at {result['sample_rate']} Hz by {result['model']}, "
        f"real-time factor {result['real_time_factor']}{wer}"
    )
