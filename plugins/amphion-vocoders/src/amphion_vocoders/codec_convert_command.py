"""Let the voice of one recording say what another says, by a codec that keeps the timbre apart. Ask its owner first."""

import argparse
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.audio_files import check_file
from amphion_core.errors import AudioError
from amphion_vocoders.codec_files import add_arguments, coding, open_task, process, write_audio
from amphion_vocoders.vocode_sources import pairs

if TYPE_CHECKING:
    from torch import Tensor

    from amphion_vocoders.codec_task import CodecTask

SHORT, LONG = 1.0, 30.0  # seconds: a target shorter than this is reported, and of a longer one the beginning is used
QUIET = 1e-3  # a target whose root mean square is lower holds no voice


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion codec convert``."""
    add_arguments(
        parser, source="an audio file, or a folder of them", out="the audio file to write, or a folder", audio_out=True
    )
    parser.add_argument("--target", type=Path, required=True, help="a recording of the voice that is to speak")
    parser.add_argument(
        "--swap", action="store_true", help="use the codec's own decoder with the other timbre, not its redecoder"
    )
    parser.epilog = "Convert to the voice of a person only with their consent, and say that the result is converted."
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert each file. A failure does not stop the others. Exit code 1 if any failed."""
    suffix = args.format and f".{args.format}"
    files, skipped = pairs(args.source, args.out, suffix, also=(), done="converted", voice=args.target)
    task = open_task(args)
    if not hasattr(task.net, "convert_pieces"):
        raise AudioError(
            f"{task.model_name} does not keep the timbre of a voice apart from what it says",
            hint="--codec with a codec/facodec, such as a folder that amphion convert codec/facodec wrote",
        )
    found = check_file(args.target)  # a folder's files are made again for another target
    args.voice = [os.path.realpath(args.target), found.st_size, found.st_mtime_ns, args.swap]
    speaker = cache(lambda: _timbre(task, args.target))

    def work(task: "CodecTask", source: Path, target: Path) -> dict[str, Any]:
        codes, samples = task.encode(source, args.codebooks)
        net: Any = task.net
        pieces = net.convert_pieces(codes, speaker(), swap=args.swap)
        peak = write_audio(task, task.as_audio(pieces, samples), target)
        return coding(task, codes, samples) | {"target": str(args.target), "peak": peak, "clipped": peak > 1}

    _, failed = process(args, task, files, work, done="converted", skipped=skipped)
    return 1 if failed else 0


def _timbre(task: "CodecTask", path: Path) -> "Tensor":
    """The timbre (1, C) of the beginning of a recording. Raises AudioError for one without sound."""
    import torch

    from amphion_core.audio_files.mono import mono_pieces

    rate = task.net.sample_rate
    wave = torch.cat([torch.from_numpy(piece) for piece in mono_pieces(path, rate)] or [torch.zeros(0)])
    wave = wave[: round(LONG * rate)]
    if not len(wave) or float(wave.square().mean().sqrt()) < QUIET:
        raise AudioError(f"{path}: the target has no sound", hint="give some seconds of the voice that is to speak")
    if len(wave) < SHORT * rate:
        text = (
            f"note: the target has {len(wave) / rate:.1f} seconds; some seconds more give a voice that is more like it"
        )
        print(text, file=sys.stderr)
    extra = task.net.encode(wave[None, None].to(task.net.device)).extra
    assert extra is not None
    return extra["speaker"]
