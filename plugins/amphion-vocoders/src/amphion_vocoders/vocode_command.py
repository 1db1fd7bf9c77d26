"""Copy synthesis: take audio files apart into mels and put them together with a vocoder."""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from amphion_core.audio_files import SUFFIXES, audio_files
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.errors import AmphionError, AudioError
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
    """Vocode each file; a failure is reported and does not stop the others. Exit code 1 if any failed."""
    pairs = _pairs(args.source, args.out)
    import amphion_core as amphion

    task = amphion.task("vocoder", model=args.vocoder, mel=args.mel, precision=args.precision, device=args.device)
    from rich.console import Console
    from rich.progress import track

    failed = 0
    for source, target in track(
        pairs, description="vocoding", console=Console(stderr=True), transient=True, disable=len(pairs) < 2
    ):
        start = time.perf_counter()
        try:
            audio = task.generate(read_request(args, task, audio=source))
            target.parent.mkdir(parents=True, exist_ok=True)
            audio.save(target)
        except AmphionError as error:
            if len(pairs) == 1:
                raise
            failed += 1
            print(f"not vocoded: {source}: {error.message}", file=sys.stderr)
            continue
        factor = (time.perf_counter() - start) / audio.duration
        if args.json:
            print(
                json.dumps(
                    {"file": str(target), "duration": round(audio.duration, 3), "real_time_factor": round(factor, 4)}
                )
            )
    done = f"{len(pairs) - failed} of {len(pairs)} files" if len(pairs) > 1 else "1 file"
    if not args.json:
        print(f"vocoded {done} with {task.model_name}: {args.out}")
    return 1 if failed else 0


def _pairs(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """(file to read, file to write), each written file different.

    Files of a folder keep their names with the suffix ``.wav``; where two would become one, such as ``a.mp3`` and
    ``a.wav``, both keep their own suffix too: ``a.mp3.wav``. Raises AudioError when there is nothing to read, or when
    a file would overwrite another or its own source.
    """
    if source.is_dir():
        found = audio_files(source)
        if not found:
            raise AudioError(f"{source} holds no audio file", hint=f"known suffixes: {', '.join(SUFFIXES)}")
        short = [(out / path.relative_to(source)).with_suffix(".wav") for path in found]
        shared = Counter(short)
        targets = [
            target if shared[target] == 1 else target.with_name(path.name + ".wav")
            for path, target in zip(found, short, strict=True)
        ]
    elif source.is_file():
        found, targets = [source], [out / source.with_suffix(".wav").name if out.is_dir() else out]
    else:
        raise AudioError(f"there is no audio file {source}", hint="check the path")
    sources, written = {path.resolve() for path in found}, Counter(targets)
    for target in targets:
        if written[target] > 1:
            raise AudioError(f"two files of {source} would become {target}", hint="rename one of them")
        if target.resolve() in sources:
            raise AudioError(f"{target} would overwrite a recording", hint="choose another folder with -o")
    return list(zip(found, targets, strict=True))
