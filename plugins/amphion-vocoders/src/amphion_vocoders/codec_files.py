"""What ``amphion codec`` does with files and folders: which file becomes which, progress, results, and resuming."""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.audio_files import AudioFileError, check_file
from amphion_core.audio_files.encoding import FORMATS
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options
from amphion_core.errors import AmphionError, AudioError, counted, shortened
from amphion_core.files import check_writable, is_full, make_folder, path_hint
from amphion_vocoders.vocode_sources import pairs

if TYPE_CHECKING:
    from amphion_core.audio import Audio
    from amphion_vocoders.codec_task import CodecTask

CODES = ".safetensors"
LIST = ".coded.jsonl"

Work = Callable[["CodecTask", Path, Path], dict[str, Any]]
"""Makes the second file of the first one, and returns what to report about it."""


def add_arguments(parser: argparse.ArgumentParser, *, source: str, out: str, audio_out: bool) -> None:
    """The arguments that encode, decode and roundtrip share."""
    parser.add_argument("source", type=Path, help=source)
    parser.add_argument("-o", "--out", type=Path, required=True, help=out)
    parser.add_argument("--codec", help="card, weights folder or run of a codec (by default what is on this disk)")
    parser.add_argument(
        "--codebooks", type=_positive, help="use only the first codebooks: a lower bitrate (default: all)"
    )
    if audio_out:
        formats = [suffix[1:] for suffix in FORMATS]
        parser.add_argument("--format", choices=formats, help="format of the files in a folder (wav)")
    add_device_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON line for each file")
    complete(parser, codec=("cards:codec", "paths"))


def files_to_encode(source: Path, out: Path) -> tuple[list[tuple[Path, Path]], int]:
    """(recording, code file), and the number of files that cannot be read. Raises AudioError, before any work."""
    if source.is_dir():
        if out.suffix.lower() == CODES and not out.is_dir():
            raise AudioError(f"{source} is a folder, and {out} is the name of a file", hint=f"-o {out.with_suffix('')}")
        return pairs(source, out, CODES, also=(), done="encoded")
    try:
        check_file(source)
    except AudioFileError as error:
        raise AudioFileError(source, error.reason, hint=path_hint(source, error.hint or "")) from error
    target = out / source.with_suffix(CODES).name if out.is_dir() else out
    if target.suffix.lower() != CODES:
        raise AudioError(f"{target} is no name of a code file", hint=f"-o {target.with_suffix(CODES)}")
    check_writable(target)
    return [(source, target)], 0


def files_to_decode(source: Path, out: Path, format: str | None) -> tuple[list[tuple[Path, Path]], int]:
    """(code file, audio file), and the number of files that cannot be read. Raises AudioError, before any work."""
    found, skipped = pairs(source, out, format and f".{format}", also=(CODES,), done="decoded")
    codes = [pair for pair in found if pair[0].suffix.lower() == CODES]
    if not codes:
        what = "holds no code file" if source.is_dir() else "is no code file"
        raise AudioError(f"{source} {what} ({CODES})", hint="amphion codec encode RECORDING -o FILE.safetensors")
    return codes, skipped


def open_task(args: argparse.Namespace) -> "CodecTask":
    """The task with the codec that ``args`` name. Raises AmphionError."""
    import amphion_core as amphion

    task: CodecTask = amphion.task("codec", model=args.codec, precision=args.precision, device=args.device)
    return task


def process(
    args: argparse.Namespace, task: "CodecTask", files: list[tuple[Path, Path]], work: Work, *, done: str, skipped: int
) -> tuple[list[dict[str, Any]], int]:
    """Do ``work`` for each file: the results, and the number of files that failed, which is reported.

    Files of a folder that were made before by the same work are kept. Raises AmphionError for the error of a single
    file, and where the disk is full.
    """
    from amphion_core.made_before import MadeBefore

    several = args.source.is_dir()
    made = MadeBefore(make_folder(args.out) / LIST) if several else None
    results: list[dict[str, Any]] = []
    failed = kept = 0
    with _progress(done, len(files)) as advance:
        for source, target in files:
            try:
                about = _about(args, task, source, done)
                result: dict[str, Any] | None = made.result([target], about) if made else None
                kept += result is not None
                if result is None:
                    begin = time.perf_counter()
                    make_folder(target.parent)
                    result = {"file": str(target), **work(task, source, target)}
                    result["seconds"] = round(time.perf_counter() - begin, 3)
                    if made:
                        made.add([target], about, result)
                results.append(result)
                if args.json:
                    print(json.dumps(result))
            except AmphionError as error:
                if not several or (error.__cause__ is not None and is_full(error.__cause__)):
                    raise
                failed += 1
                reason = error.reason if isinstance(error, AudioFileError) else error.message.removeprefix(f"{source} ")
                print(f"not {done}: {shortened(source)}: {reason}", file=sys.stderr)
            advance()
    if kept:
        verb = "is" if kept == 1 else "are"
        print(f"note: {counted(kept, 'file')} of the same source and codec {verb} there already", file=sys.stderr)
    if not args.json:
        total = len(files) + skipped
        count = f"{len(results)} of {total} files" if total > 1 else counted(len(results), "file")
        print(f"{done} {count} with {task.model_name}: {args.out}")
    return results, failed + skipped


def write_audio(task: "CodecTask", pieces: "Iterable[Audio]", target: Path) -> float:
    """Write pieces as one audio file, a whole one or none. Returns the highest peak, which is clipped above 1."""
    from amphion_core.audio import Audio
    from amphion_core.audio_files.writing import AudioWriter

    peak = 0.0
    with AudioWriter(target, task.net.sample_rate) as writer:
        for piece in pieces:
            peak = max(peak, piece.peak)
            writer.write(Audio(piece.samples.clip(-1, 1), piece.sample_rate))
    return round(peak, 4)


def coding(task: "CodecTask", codes: Any, samples: int) -> dict[str, Any]:
    """What codes are: seconds, codebooks, frames, bits a second."""
    count, _, frames = codes.indices.shape
    return {
        "duration": round(samples / task.net.sample_rate, 3), "codebooks": count, "frames": frames,
        "bitrate": round(task.net.bitrate(count)),
    }  # fmt: skip


def _about(args: argparse.Namespace, task: "CodecTask", source: Path, done: str) -> dict[str, Any]:
    """What determines the file that is made. Raises AudioFileError for a file that is missing."""
    found = check_file(source)
    return {
        "file": os.path.realpath(source), "size": found.st_size, "changed": found.st_mtime_ns, "work": done,
        "codec": task.identity, "codebooks": args.codebooks, "precision": task.net.precision,
        "device": task.net.device.type, "metrics": getattr(args, "metrics", None),
        "voice": getattr(args, "voice", None),
    }  # fmt: skip


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of codebooks: give 1 or more")
    return number


@contextlib.contextmanager
def _progress(done: str, total: int) -> Iterator[Callable[[], None]]:
    """A function that advances a bar on standard error by one file, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(done, total=total)
        yield lambda: progress.advance(bar)
