"""Speak a text: write it as an audio file, or stream it sentence by sentence."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from amphion_core.errors import DataError

if TYPE_CHECKING:
    from amphion_core.api import Audio
    from amphion_tts.task import TTSRequest, TTSTask


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion tts``."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("text", nargs="?", help='what to say; "-" reads standard input')
    source.add_argument("--file", type=Path, help="a UTF-8 text file to say")
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("speech.wav"), help="audio file: .wav .flac .ogg .mp3 (speech.wav)"
    )
    parser.add_argument("--model", help="card or weights folder; by default the first default card on this disk")
    parser.add_argument("--vocoder", help="card or weights folder, for models that end at a mel")
    parser.add_argument("--speaker", type=int, help="speaker id of a multi-speaker model")
    parser.add_argument("--length-scale", type=float, help="2 is half the speed")
    parser.add_argument("--noise-scale", type=float, help="variation of the voice; 0: none")
    parser.add_argument("--duration-noise-scale", type=float, help="variation of the rhythm; 0: none")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds of silence between sentences (0.2)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same audio (0)")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help="bf16 where it is faster")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (cpu)")
    parser.add_argument(
        "--stream", action="store_true", help="write 16-bit mono PCM to standard output as it is spoken"
    )
    parser.add_argument(
        "--wer", action="store_true", help="let a speech recogniser check what was said (needs amphion-eval)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Speak, write, and say where the file is."""
    text = _text(args)
    if not text.strip():
        raise DataError("the text is empty", hint='amphion tts "Any sentence you like."')
    import amphion_core as amphion
    from amphion_tts.task import request

    wanted = request(
        text=text, speaker=args.speaker, length_scale=args.length_scale, noise_scale=args.noise_scale,
        duration_noise_scale=args.duration_noise_scale, pause=args.pause, seed=args.seed,
    )  # fmt: skip
    if not args.stream:
        amphion.Audio.check_target(args.out)
    scorer = amphion.get("metrics", "wer") if args.wer else None
    task: TTSTask = amphion.task(
        "tts", model=args.model, vocoder=args.vocoder, precision=args.precision, device=args.device
    )
    if args.stream:
        return _stream(task, wanted)
    start = time.perf_counter()
    audio = amphion.Audio.concatenate(list(_shown(task, wanted)))
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
    if args.file is None:
        return sys.stdin.read() if args.text == "-" else str(args.text)
    try:
        return str(args.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{args.file} cannot be read as UTF-8 text: {error}", hint="check the path") from error


def _shown(task: "TTSTask", wanted: "TTSRequest") -> "Iterator[Audio]":
    """The pieces of the stream, with a progress bar on standard error when there are several."""
    from rich.console import Console
    from rich.progress import Progress

    total = len(task.sentences(wanted.text))
    with Progress(console=Console(stderr=True), transient=True, disable=total < 2) as progress:
        yield from progress.track(task.stream(wanted), total=total, description="speaking")


def _stream(task: "TTSTask", wanted: "TTSRequest") -> int:
    if sys.stdout.isatty():
        command = 'amphion tts --stream "..." | aplay -f S16_LE -c 1 -r'
        raise DataError("--stream writes raw audio, not for a terminal", hint=f"{command} {task.sample_rate}")
    for piece in task.stream(wanted):
        sys.stdout.buffer.write((piece.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
        sys.stdout.buffer.flush()
    return 0


def _sentence(result: dict[str, object]) -> str:
    wer = f", word error rate {result['wer']} %" if "wer" in result else ""
    return (
        f"wrote {result['file']}: {result['duration']} s at {result['sample_rate']} Hz by {result['model']}, "
        f"real-time factor {result['real_time_factor']}{wer}"
    )
