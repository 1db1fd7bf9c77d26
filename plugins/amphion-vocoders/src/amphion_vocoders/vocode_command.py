"""Copy synthesis: take audio files apart into mels and put them together with a vocoder."""

import argparse
import json
import sys
import time
from pathlib import Path

from amphion_core.errors import AmphionError, AudioError

AUDIO = (".wav", ".flac", ".ogg", ".mp3")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion vocode``."""
    parser.add_argument("source", type=Path, help="an audio file, or a folder of them")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the audio file to write, or a folder")
    parser.add_argument("--vocoder", help="card, weights folder, or vocoder/griffin_lim (the default without weights)")
    parser.add_argument("--mel", help="mel preset, for Griffin-Lim (hifigan_22k_80)")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32", help="bf16 where it is faster")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON line a file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Vocode each file; one that fails is told and does not stop the others. Exit code 1 if any failed."""
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
            audio = task.generate(amphion.Audio.load(source))
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
    """(file to read, file to write). Raises AudioError when there is nothing to read."""
    if source.is_dir():
        found = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in AUDIO]
        if not found:
            raise AudioError(f"{source} holds no audio file", hint=f"known suffixes: {', '.join(AUDIO)}")
        return [(path, (out / path.relative_to(source)).with_suffix(".wav")) for path in found]
    if not source.is_file():
        raise AudioError(f"there is no audio file {source}", hint="check the path")
    return [(source, out / source.with_suffix(".wav").name if out.is_dir() else out)]
