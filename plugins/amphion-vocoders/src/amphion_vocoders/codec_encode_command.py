"""Turn recordings into the codes of a neural codec: small files from which `amphion codec decode` makes audio again."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_vocoders.codec_files import add_arguments, coding, files_to_encode, open_task, process

if TYPE_CHECKING:
    from amphion_vocoders.codec_task import CodecTask


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion codec encode``."""
    add_arguments(
        parser, source="an audio file, or a folder of them", out="the .safetensors file to write, or a folder",
        audio_out=False,
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Encode each file. A failure does not stop the others. Exit code 1 if any failed."""
    files, skipped = files_to_encode(args.source, args.out)

    def work(task: "CodecTask", source: Path, target: Path) -> dict[str, Any]:
        codes, samples = task.encode(source, args.codebooks)
        task.write(target, codes, samples)
        return coding(task, codes, samples)

    _, failed = process(args, open_task(args), files, work, done="encoded", skipped=skipped)
    return 1 if failed else 0
