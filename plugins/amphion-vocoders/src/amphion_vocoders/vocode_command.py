"""Copy synthesis: take audio files apart into mels, and put them together with a vocoder; also files of mels."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.audio_files.encoding import FORMATS
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.convolution_cache import keep_few_convolutions
from amphion_core.errors import AmphionError, counted
from amphion_vocoders.request import VocoderRequest
from amphion_vocoders.vocode_sources import is_mel_file, pairs

if TYPE_CHECKING:
    from amphion_vocoders.vocoded_files import Advance, Job


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion vocode``; those that describe the request are generated."""
    parser.add_argument(
        "source", type=Path, help="an audio file, a file with a mel (.npy, .safetensors), or a folder of them"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the audio file to write, or a folder")
    parser.add_argument(
        "--vocoder", help="card, weights folder, run, or vocoder/griffin_lim (by default what is ready on this disk)"
    )
    parser.add_argument(
        "--mel", help="mel preset, or '{preset: NAME, FIELD: VALUE}': the convention of mel files that state none, and "
        "of a vocoder without weights (its own default)"
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=[suffix[1:] for suffix in FORMATS], help="format of the files in a folder (wav)"
    )
    parser.add_argument(
        "--f0", default="f0_harvest", help="feature that tracks F0, for a vocoder that needs it (default: %(default)s)"
    )
    add_request_options(parser, VocoderRequest, skip=("audio",))
    add_device_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON line for each file")
    complete(parser, vocoder=("cards:vocoder", "models:vocoder", "paths"), mel=("presets",), f0=("features",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Vocode each file. A failure does not stop the others, unless the disk is full. Exit code 1 if any failed."""
    files, failed = pairs(args.source, args.out, args.format and f".{args.format}")
    keep_few_convolutions()
    import amphion_core as amphion

    mel = _convention(args, [source for source, _ in files])
    chosen = {"model": args.vocoder, "mel": mel, "f0": args.f0}
    task = amphion.task("vocoder", **chosen, precision=args.precision, device=args.device)
    from amphion_vocoders.vocoded_files import Job, make_files, reason_of

    if task.note:
        print(f"note: {task.note}", file=sys.stderr)
    several, total = args.source.is_dir(), len(files) + failed
    jobs = [Job(read_request(args, task, audio=source), target) for source, target in files]
    results: list[dict[str, Any]] = []
    with _progress(task, jobs) as advance:
        for job in make_files(task, jobs, advance, list_in=args.out if several else None):
            if job.error is not None:
                if not several:
                    if str(job.source) not in job.error.message:
                        job.error.message = f"{job.source}: {job.error.message}"
                    raise job.error
                failed += 1
                print(f"not vocoded: {job.source}: {reason_of(job.error)}", file=sys.stderr)
            elif job.result is not None:
                results.append(job.result)
                if args.json:
                    print(json.dumps(job.result))
    if kept := sum(result.get("kept", False) for result in results):
        verb = "is" if kept == 1 else "are"
        print(f"note: {counted(kept, 'file')} of the same source and vocoder {verb} there already", file=sys.stderr)
    if clipped := sum(result["clipped"] for result in results):
        what, were = ("the file", "was") if len(files) == 1 else (f"{clipped} of {len(files)} files", "were")
        highest = max(result["peak"] for result in results)
        print(f"warning: {what} went beyond full scale (up to {highest:.2f}) and {were} clipped", file=sys.stderr)
    if not args.json:
        done = f"{total - failed} of {total} files" if total > 1 else counted(total - failed, "file")
        print(f"vocoded {done} with {task.model_name}: {args.out}")
    return 1 if failed else 0


def _convention(args: argparse.Namespace, sources: Sequence[Path]) -> Any:
    """The mel convention of ``--mel``; else, for a vocoder that is to be chosen or built, the first that a file states.

    None: that of the vocoder. Raises RecipeError for wrong YAML.
    """
    if args.mel is not None:
        from amphion_core import yaml

        return yaml.parse(args.mel, where="--mel") if args.mel.startswith("{") else args.mel
    from amphion_core.vocoding import needs_no_weights

    if args.vocoder is None or needs_no_weights(args.vocoder):
        for source in filter(is_mel_file, sources):
            from amphion_vocoders.mel_files import stated_mel

            with contextlib.suppress(AmphionError):  # it is reported when the file is vocoded
                if (stated := stated_mel(source)) is not None:
                    return stated
    return None


@contextlib.contextmanager
def _progress(task: Any, jobs: "Sequence[Job]") -> "Iterator[Advance]":
    """A function that advances a bar on standard error, if that is a terminal and the work is not one short file."""
    if not sys.stderr.isatty() or (len(jobs) == 1 and task.is_short(task.frames(jobs[0].source) or 0)):
        yield lambda part: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("vocoding", total=len(jobs))
        yield lambda part: progress.advance(bar, part)
