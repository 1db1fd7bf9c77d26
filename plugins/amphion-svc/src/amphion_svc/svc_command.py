"""Convert a song or speech to another voice. Remove the accompaniment of a song before."""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.audio import Audio
from amphion_core.audio_files import AudioFileError, check_file, is_audio
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.errors import AmphionError, DataError
from amphion_core.files import is_file, is_full, make_folder, path_hint
from amphion_svc.request import SVCRequest
from amphion_vocoders.vocode_sources import pairs

if TYPE_CHECKING:
    from amphion_svc.plan import Plan
    from amphion_svc.task import SVCTask

EPILOG = """The recording must hold one voice alone. Remove the accompaniment of a song before, with a program for the
separation of sources, and mix it in again afterwards: with --key-shift 0, -12 or 12 the key stays the same.

examples:
  amphion svc song.wav --singer her_recording.wav -o converted.wav
  amphion svc song.wav --singer opera --model my_singers/ --key-shift 0 -o converted.wav
  amphion svc speech/ --singer his_recording.wav -o converted/
  arecord -t raw -f S16_LE -r 24000 | amphion svc - --stream --singer her.wav --key-shift 12 | aplay -f S16_LE -r 24000
"""
BLOCK = 4096  # bytes read from standard input at a time


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion svc``; those that describe the request are generated from ``SVCRequest``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "source",
        type=Path,
        help="the song or the speech, one voice without accompaniment: an audio file or a folder of them; with "
        "--stream also -, 16-bit mono PCM from standard input",
    )
    parser.add_argument("-o", "--out", type=Path, help="the audio file to write: .wav .flac .ogg .mp3; or a folder")
    parser.add_argument(
        "--singer",
        metavar="NAME|RECORDING",
        help="the voice to get: a singer that the model knows, or, for models of any voice, an audio file of a singer",
    )
    parser.add_argument(
        "--model",
        help="card, weights folder, run, or svc/world, which needs no training (the default card on this disk, else "
        "svc/world)",
    )
    parser.add_argument(
        "--vocoder", help="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel"
    )
    add_request_options(parser, SVCRequest, skip=("audio", "singer", "target"))
    add_device_options(parser)
    parser.add_argument(
        "--stream", action="store_true", help="write 16-bit mono PCM to standard output as it is converted"
    )
    parser.add_argument("--rate", type=int, default=24000, help="rate of standard input with --stream, Hz (24000)")
    parser.add_argument(
        "--chunk", type=float, default=1.0, help="seconds converted at once from standard input; 0.2 to 10 (1)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON line for each file")
    complete(parser, model=("cards:svc", "models:svc", "paths"), vocoder=("cards:vocoder", "models:vocoder", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert each file. A failure does not stop the others, unless the disk is full. Exit code 1 if any failed."""
    if args.stream:
        return _stream(args)
    if args.out is None:
        raise DataError("no output is named", hint="-o converted.wav, or a folder")
    several = args.source.is_dir()
    files, failed = pairs(args.source, args.out, None, also=(), done="converted", voice=args.singer)
    if not several:
        _check_length(args.source)
    task, voice = _task(args)
    results = []
    for source, target in files:
        try:
            results.append(_converted(args, task, voice, source, target))
        except AmphionError as error:
            if not several or (error.__cause__ is not None and is_full(error.__cause__)):
                raise
            failed += 1
            reason = error.reason if isinstance(error, AudioFileError) else error.message
            print(f"not converted: {source}: {reason}", file=sys.stderr)
            continue
        if args.json:
            print(json.dumps(results[-1]))
        elif several:
            print(_sentence(results[-1]))
    if not args.json:
        total = len(results) + failed
        print(f"converted {len(results)} of {total} files: {args.out}" if several else _sentence(results[0]))
    return 1 if failed else 0


def _task(args: argparse.Namespace) -> "tuple[SVCTask, dict[str, Any]]":
    """The task, and the fields of a request that name the voice. Raises AudioError and DataError."""
    import amphion_core as amphion

    named = args.singer is not None and (is_file(args.singer) or is_audio(args.singer) or "/" in args.singer)
    task: SVCTask = amphion.task(
        "svc", model=args.model, vocoder=args.vocoder, precision=args.precision, device=args.device
    )
    if args.singer is None or args.singer in task.singers or not named:
        voice: dict[str, Any] = {"singer": args.singer}
    else:
        try:
            check_file(args.singer)
        except AudioFileError as error:
            raise AudioFileError(args.singer, error.reason, hint=path_hint(args.singer, error.hint or "")) from error
        _check_length(Path(args.singer), "the recording of the singer")
        voice = {"target": Audio.load(args.singer)}
    task.singer(voice.get("singer"), voice.get("target"))  # raises before any song is read
    return task, voice


def _converted(
    args: argparse.Namespace, task: "SVCTask", voice: dict[str, Any], source: Path, target: Path
) -> dict[str, Any]:
    """Convert one file and write it; what was done, in values of JSON."""
    start = time.perf_counter()
    _check_length(source)
    plan = task.plan(read_request(args, task, audio=source, **voice))
    if not args.json:
        for note in plan.notes:
            print(f"note: {source}: {note}", file=sys.stderr)
    audio = Audio.concatenate(list(_counted(task, plan)))
    make_folder(target.parent)
    audio.save(target)
    return {
        "file": str(target), "duration": round(audio.duration, 3), "sample_rate": audio.sample_rate,
        "model": task.model_name, "key_shift": plan.key_shift, "why": plan.why_shift,
        "real_time_factor": round((time.perf_counter() - start) / audio.duration, 4), "notes": list(plan.notes),
    }  # fmt: skip


def _counted(task: "SVCTask", plan: "Plan") -> Iterator[Audio]:
    """The pieces of a plan, with a progress bar on standard error for several of them, if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    yield from track(
        task.convert(plan),
        description="converting",
        total=len(plan.slices),
        console=Console(stderr=True),
        transient=True,
        disable=len(plan.slices) < 2 or not sys.stderr.isatty(),
    )


def _check_length(path: Path, name: str = "the song") -> None:
    """Raise AudioError for a recording that is too long, before its samples are read."""
    from amphion_core.audio_files.reading import audio_length
    from amphion_svc.recordings import check_length

    check_length(audio_length(path).seconds, name)


def _stream(args: argparse.Namespace) -> int:
    """Write PCM to standard output: of a file slice by slice, or of standard input chunk by chunk."""
    if args.out is not None or args.json:
        print("note: --stream writes to standard output only and ignores -o and --json", file=sys.stderr)
    if sys.stdout is None or sys.stdout.isatty():
        raise DataError(
            "--stream writes raw audio, not for a terminal",
            hint="amphion svc SONG --singer FILE --stream | aplay -f S16_LE -c 1 -r 24000",
        )
    for piece in _live(args) if str(args.source) == "-" else _slices(args):
        peak = piece.peak
        sys.stdout.buffer.write((piece.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
        sys.stdout.buffer.flush()
        if peak > 1:
            warnings.warn(f"samples beyond full scale ({peak:.2f}) were clipped", UserWarning, stacklevel=2)
    return 0


def _slices(args: argparse.Namespace) -> Iterator[Audio]:
    """A file, slice by slice."""
    try:
        check_file(args.source)
    except AudioFileError as error:
        raise AudioFileError(args.source, error.reason, hint=path_hint(args.source, error.hint or "")) from error
    _check_length(args.source)
    task, voice = _task(args)
    plan = task.plan(read_request(args, task, audio=args.source, **voice))
    for note in (*plan.notes, f"the output has {task.sample_rate} Hz"):
        print(f"note: {note}", file=sys.stderr)
    yield from task.convert(plan)


def _live(args: argparse.Namespace) -> Iterator[Audio]:
    """Standard input, chunk by chunk, as it arrives."""
    import numpy as np

    if not 0.2 <= args.chunk <= 10:
        raise DataError(f"--chunk {args.chunk} is not from 0.2 to 10 seconds", hint="--chunk 1")
    if not 8000 <= args.rate <= 192000:
        raise DataError(f"--rate {args.rate} is not from 8000 to 192000 Hz", hint="--rate 24000")
    if sys.stdin is None or sys.stdin.isatty():
        raise DataError(
            "standard input is not a recording", hint="arecord -t raw -f S16_LE -r 24000 | amphion svc - ..."
        )
    task, voice = _task(args)
    silence = Audio(np.zeros(1, np.float32), args.rate)
    request = read_request(args, task, audio=silence, **voice)
    from amphion_svc.live import Live

    live = Live(
        task, sample_rate=args.rate, key_shift=request.key_shift, singer=request.singer, target=request.target,
        chunk=args.chunk, seed=request.seed, controls=request.controls,
    )  # fmt: skip
    print(
        f"note: latency {live.latency:.2f} s, and the time to convert {args.chunk:g} s; the output has "
        f"{task.sample_rate} Hz",
        file=sys.stderr,
    )
    left = b""
    read: Callable[[int], bytes] = sys.stdin.buffer.read1  # type: ignore[union-attr]  # gives what has arrived
    while block := read(BLOCK):
        block = left + block
        whole = len(block) // 2 * 2
        left = block[whole:]
        samples = np.frombuffer(block[:whole], "<i2").astype(np.float32) / np.float32(32768)
        if len(made := live.push(samples)):
            yield Audio(made, task.sample_rate)
    if len(made := live.end()):
        yield Audio(made, task.sample_rate)


def _sentence(result: dict[str, Any]) -> str:
    return (
        f"wrote {result['file']}: {result['duration']} s at {result['sample_rate']} Hz by {result['model']}, "
        f"key shift {result['key_shift']:+g} semitones ({result['why']}), real-time factor {result['real_time_factor']}"
    )
