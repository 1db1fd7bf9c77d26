"""Turn codes of a neural codec back into audio."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_vocoders.codec_files import add_arguments, coding, files_to_decode, open_task, process, write_audio

if TYPE_CHECKING:
    from amphion_vocoders.codec_task import CodecTask


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion codec decode``."""
    add_arguments(
        parser, source="a code file (.safetensors), or a folder of them", out="the audio file to write, or a folder",
        audio_out=True,
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Decode each file. A failure does not stop the others. Exit code 1 if any failed."""
    files, skipped = files_to_decode(args.source, args.out, args.format)

    def work(task: "CodecTask", source: Path, target: Path) -> dict[str, Any]:
        found = task.read(source, args.codebooks)
        peak = write_audio(task, task.decode(found.codes, found.samples), target)
        return coding(task, found.codes, found.samples) | {"peak": peak, "clipped": peak > 1}

    _, failed = process(args, open_task(args), files, work, done="decoded", skipped=skipped)
    return 1 if failed else 0
