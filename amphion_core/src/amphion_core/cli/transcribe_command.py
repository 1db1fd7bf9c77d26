"""Write down what is said in a folder of recordings: a.txt beside each a.wav, by a speech recogniser."""

import argparse
import json
import sys
from pathlib import Path

from amphion_core.cli.completion import complete

EPILOG = """examples:
  amphion transcribe my_recordings
  amphion prepare folder my_recordings prepared/voice"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion transcribe``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("folder", type=Path, help="folder of recordings; those that have a text keep it")
    parser.add_argument("--language", default="en", help="language code of what is said (en)")
    parser.add_argument(
        "--recognizer", metavar="NAME", help="recogniser (amphion list recognizers); default: the first"
    )
    parser.add_argument("--again", action="store_true", help="replace the texts that are there")
    parser.add_argument("--json", action="store_true", help="print the texts as JSON")
    complete(parser, folder=("paths",), recognizer=("recognizers",))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the texts, with progress; the last line says how many there are."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from amphion_core.data import transcripts
    from amphion_core.errors import counted

    total = len(transcripts.recordings(args.folder))
    recognizer = transcripts.open_recognizer(args.recognizer)
    columns = TextColumn("transcribing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    found = []
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("transcribing", total=total)
        for one in transcripts.transcribe(args.folder, recognizer, language=args.language, again=args.again):
            progress.update(bar, advance=1)
            found.append(one)
    if args.json:
        print(json.dumps([{"file": one.path.name, "text": one.text, "problem": one.problem} for one in found]))
        return 0
    for one in found:
        if one.problem:
            print(f"note: no text: {one.problem}", file=sys.stderr)
    new, kept = (sum(bool(one.text) and one.is_new is flag for one in found) for flag in (True, False))
    what = f"{counted(new, 'new text')}, {kept} kept, {len(found) - new - kept} without a text"
    print(f"{what}: {args.folder}   (correct them, then: amphion prepare folder {args.folder} prepared/voice)")
    return 0
