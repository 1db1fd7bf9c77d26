"""Copy synthesis: take audio files apart into mels and put them together with a vocoder."""

import argparse
import json
import os
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from amphion_core.audio import Audio
from amphion_core.audio_files import SUFFIXES, AudioFileError, audio_files, check_file
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.errors import AmphionError, AudioError, counted, shortened
from amphion_core.files import check_folder, ignores_case, is_full, make_folder, path_hint
from amphion_vocoders.request import VocoderRequest


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion vocode``; those that describe the request are generated."""
    parser.add_argument("source", type=Path, help="an audio file, or a folder of them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the audio file to write, or a folder")
    parser.add_argument(
        "--vocoder", help="card, weights folder, run, or vocoder/griffin_lim (by default what is ready on this disk)"
    )
    parser.add_argument("--mel", help="mel preset, for a vocoder without weights (its own default)")
    add_request_options(parser, VocoderRequest, skip=("audio",))
    add_device_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON line for each file")
    complete(parser, vocoder=("cards:vocoder", "models:vocoder", "paths"), mel=("presets",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Vocode each file. A failure does not stop the others, unless the disk is full. Exit code 1 if any failed."""
    pairs, failed = _pairs(args.source, args.out)
    import amphion_core as amphion

    task = amphion.task("vocoder", model=args.vocoder, mel=args.mel, precision=args.precision, device=args.device)
    from rich.console import Console
    from rich.progress import track

    several, total = args.source.is_dir(), len(pairs) + failed
    peaks: list[float] = []
    for source, target in track(
        pairs,
        description="vocoding",
        console=Console(stderr=True),
        transient=True,
        disable=len(pairs) < 2 or not sys.stderr.isatty(),
    ):
        start = time.perf_counter()
        try:
            audio = task.generate(read_request(args, task, audio=source))
            make_folder(target.parent)
            Audio(audio.samples.clip(-1, 1), audio.sample_rate).save(target)  # `save` would warn for each file
        except AmphionError as error:
            if not several or (error.__cause__ is not None and is_full(error.__cause__)):
                raise
            failed += 1
            reason = error.reason if isinstance(error, AudioFileError) else error.message
            print(f"not vocoded: {source}: {reason}", file=sys.stderr)
            continue
        peaks.append(audio.peak)
        if args.json:
            factor = (time.perf_counter() - start) / audio.duration
            result = {"file": str(target), "duration": round(audio.duration, 3), "real_time_factor": round(factor, 4)}
            print(json.dumps(result | {"clipped": audio.peak > 1}))
    if clipped := sum(peak > 1 for peak in peaks):
        what, were = ("the file", "was") if len(pairs) == 1 else (f"{clipped} of {len(pairs)} files", "were")
        print(f"warning: {what} went beyond full scale (up to {max(peaks):.2f}) and {were} clipped", file=sys.stderr)
    if not args.json:
        done = f"{total - failed} of {total} files" if total > 1 else counted(total - failed, "file")
        print(f"vocoded {done} with {task.model_name}: {args.out}")
    return 1 if failed else 0


def _pairs(source: Path, out: Path) -> tuple[list[tuple[Path, Path]], int]:
    """(file to read, file to write), each written file different; and the number of files that cannot be read.

    Files of a folder keep their names with the suffix ``.wav``; where two would become one, such as ``a.mp3`` and
    ``a.wav``, both keep their own suffix too: ``a.mp3.wav``. Raises AudioError when there is nothing to read, when a
    file would overwrite another or its own source, and when the output cannot be written.
    """
    skipped: list[Path] = []

    def skip(path: Path, reason: str) -> None:
        skipped.append(path)
        print(f"not vocoded: {shortened(path)}: {reason}", file=sys.stderr)

    if source.is_dir():
        found = audio_files(source, on_skip=skip)
        if not found:
            raise AudioError(f"{source} holds no audio file", hint=f"known suffixes: {', '.join(SUFFIXES)}")
        if out.suffix.lower() in SUFFIXES and not out.is_dir():
            raise AudioError(
                f"{source} is a folder, and {out} is the name of an audio file", hint=f"-o {out.with_suffix('')}"
            )
        targets = _targets([path.relative_to(source) for path in found], out)
        check_folder(out)
    else:
        try:
            check_file(source)
        except AudioFileError as error:
            raise AudioFileError(source, error.reason, hint=path_hint(source, error.hint or "")) from error
        found, targets = [source], [out / source.with_suffix(".wav").name if out.is_dir() else out]
        Audio.check_target(targets[0])
    sources = {os.path.realpath(path) for path in found}  # unlike resolve, it takes links in a circle
    for target in targets:
        if os.path.realpath(target) in sources:
            raise AudioError(f"{target} would overwrite a recording", hint="choose another folder with -o")
    return list(zip(found, targets, strict=True)), len(skipped)


def _targets(names: Sequence[Path], out: Path) -> list[Path]:
    """The file in ``out`` for each of the different ``names``. Raises AudioError where two would be one file."""
    same = _as_one_file if ignores_case(out) else str
    short = [out / name.with_suffix(".wav") for name in names]
    shared = Counter(same(str(target)) for target in short)
    targets = [
        target if shared[same(str(target))] == 1 else target.with_name(name.name + ".wav")
        for name, target in zip(names, short, strict=True)
    ]
    written: dict[str, Path] = {}
    for name, target in zip(names, targets, strict=True):
        if (other := written.setdefault(same(str(target)), name)) != name:
            raise AudioError(f"{other} and {name} would become one file, {target}", hint="rename one of them")
    return targets


def _as_one_file(path: str) -> str:
    """A text that is the same for all spellings that a file system without regard to case takes for one file."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
