"""Make the sounds that captions describe: one audio file, or a folder of them from a list of captions."""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.audio import Audio
from amphion_core.audio_files import AudioFileError, check_file
from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.errors import AmphionError, DataError, counted
from amphion_core.files import check_folder, check_not_overwritten, make_folder, path_hint
from amphion_core.made_before import MadeBefore
from amphion_tta.caption_files import SHOWN, Caption, read_captions
from amphion_tta.request import LONGEST, TTARequest, check_not_empty

if TYPE_CHECKING:
    from amphion_tta.task import Plan, TTATask

EPILOG = """No trained model of sounds comes with the package: --model names a run of amphion train, or a folder
that amphion convert has made of published weights. A sound that is made --from a recording is as long as the recording.

examples:
  amphion tta "a dog barks twice" -o dog.wav --steps 50 --seconds 5
  amphion tta "rain on a tin roof" --negative "thunder" --seed 7 --candidates 4 --ranker my_clap/ -o rain.wav
  amphion tta --file captions.csv -o sounds/ --batch 4
  amphion tta "a cat meows" --from dog.wav --strength 0.6 -o cat.wav
  amphion tta "a door slams" --from street.wav --inpaint 2-4 -o street2.wav
"""
DEFAULT = "sound.wav"
SHORT = ("steps", "guidance", "sampler")  # controls that most models have, as options of their own


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion tta``; those that describe the request are generated from ``TTARequest``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("caption", nargs="?", help="what is to be heard, in quotes")
    parser.add_argument(
        "--file",
        type=Path,
        help="a text file with a caption in each line, or a csv with the columns id and caption; each becomes a file",
    )
    parser.add_argument(
        "-o", "--out", help="audio file: .wav .flac .ogg .mp3 (sound.wav); with --file a folder, which is resumed"
    )
    parser.add_argument("--model", help="card, weights folder or run; by default the first default card on this disk")
    parser.add_argument(
        "--vocoder", help="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel"
    )
    parser.add_argument(
        "--text-encoder", help="card or weights folder of the encoder of captions; by default that of the model"
    )
    parser.add_argument(
        "--ranker", help="card or weights folder of a text_encoder/clap, which chooses among several --candidates"
    )
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="a recording to start from")
    add_request_options(parser, TTARequest, skip=("caption", "source"))
    for name in SHORT:
        parser.add_argument(f"--{name}", help=f"short for --control {name}={name.upper()}, where the model has it")
    add_device_options(parser)
    parser.add_argument("--batch", type=int, default=1, help="captions of --file that are generated together (1)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    complete(
        parser, model=("cards:tta", "paths"), vocoder=("cards:vocoder", "models:vocoder", "paths"),
        text_encoder=("cards:text_encoder", "paths"), ranker=("cards:text_encoder", "paths"),
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Generate and write the files; the last line says where they are."""
    import amphion_core as amphion

    captions, folder = _captions(args)
    files = [folder / f"{caption.name}.wav" for caption in captions] if folder else [Path(args.out or DEFAULT)]
    _check_output(args, folder, files)
    recording = _recording(args.source)
    framework = amphion.get("tasks", "tta")
    _shorts(args)
    first = read_request(args, framework, caption=captions[0].text, source=recording)
    requests = [
        first.replace(caption=caption.text, seed=(first.seed + index) % 2**32) for index, caption in enumerate(captions)
    ]
    task: TTATask = amphion.task(
        "tta", model=args.model, vocoder=args.vocoder, text_encoder=args.text_encoder, ranker=args.ranker,
        precision=args.precision, device=args.device,
    )  # fmt: skip
    plans = _plans(task, captions, requests)
    for note in dict.fromkeys(note for plan in plans for note in plan.notes):
        print(f"note: {note}", file=sys.stderr)
    if folder is None:
        result = _write(task, plans, files)[0]
        print(json.dumps(result) if args.json else _sentence(result))
        return 0
    results = _many(task, plans, files, args.batch)
    if args.json:
        print(json.dumps({"files": results}))
    else:
        kept = sum(result["kept"] for result in results)
        print(f"wrote {counted(len(results) - kept, 'file')} to {folder}" + (f", kept {kept}" if kept else ""))
    return 0


def _captions(args: argparse.Namespace) -> tuple[list[Caption], Path | None]:
    """What is generated, and the folder of many files. Raises DataError unless one kind of captions is given."""
    if (args.caption is None) == (args.file is None):
        problem = "no caption is given" if args.caption is None else "a caption and --file are given, take one of them"
        raise DataError(problem, hint='amphion tta "a dog barks twice", or amphion tta --file captions.csv -o sounds/')
    if args.file is None:
        if args.out and (args.out.endswith(("/", os.sep)) or Path(args.out).is_dir()):
            raise DataError(f"{args.out} is a folder, and one caption becomes one file", hint=f"-o {DEFAULT}")
        check_not_empty(args.caption)
        return [Caption("", "", args.caption)], None
    if not args.out:
        raise DataError("the captions of a file need a folder for their sounds", hint="-o sounds/")
    return read_captions(args.file), Path(args.out)


def _check_output(args: argparse.Namespace, folder: Path | None, files: list[Path]) -> None:
    """Raise the error of an output that cannot be written, and DataError for options that cannot be used."""
    if args.source is not None and hasattr(args, "request.seconds"):
        raise DataError(
            "--seconds is given, and with --from the sound is as long as the recording",
            hint="leave --seconds out, or cut the recording before",
        )
    if not 1 <= args.batch <= 1024:
        raise DataError(f"--batch {args.batch} is not from 1 to 1024", hint="--batch 4")
    if folder is None:
        Audio.check_target(args.out or DEFAULT)
    else:
        check_folder(folder)
    if args.source is not None:
        hint = "choose another folder with -o" if folder else f"-o {files[0].with_stem(f'{files[0].stem}_new')}"
        check_not_overwritten([args.source], files, hint=hint)


def _recording(source: Path | None) -> Audio | None:
    """The recording of --from. Raises AudioFileError, and DataError for one that is too long, before it is read."""
    if source is None:
        return None
    from amphion_core.audio_files.reading import audio_length

    try:
        check_file(source)
    except AudioFileError as error:
        raise AudioFileError(source, error.reason, hint=path_hint(source, error.hint or "")) from error
    if (seconds := audio_length(source).seconds) > LONGEST:
        raise DataError(
            f"{source} lasts {seconds:.0f} seconds, and at most {LONGEST:g} are changed at once",
            hint=f"cut it: ffmpeg -i {source} -t {LONGEST:g} PART{source.suffix}",
        )
    return Audio.load(source)


def _shorts(args: argparse.Namespace) -> None:
    """Hand --steps, --guidance and --sampler to the option --control."""
    given = [f"{name}={value}" for name in SHORT if (value := getattr(args, name)) is not None]
    if given:
        setattr(args, "request.controls", [*getattr(args, "request.controls", []), *given])


def _plans(task: "TTATask", captions: list[Caption], requests: list[TTARequest]) -> "list[Plan]":
    """All requests, checked before anything is generated. Raises DataError that lists the captions that cannot be."""
    if len(requests) == 1:
        return [task.plan(requests[0])]
    plans, problems = [], []
    for caption, request in zip(captions, requests, strict=True):
        try:
            plans.append(task.plan(request))
        except AmphionError as error:
            problems.append(f"{caption.where}: {error.message}")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DataError(f"{'; '.join(problems[:SHOWN])}{more}", hint="correct these captions or options")
    return plans


def _many(task: "TTATask", plans: "list[Plan]", files: list[Path], batch: int) -> list[dict[str, Any]]:
    """Generate what is not there yet from the same captions, options and weights, in batches of neighbours.

    The folder is made when the first sounds are ready.
    """
    made = MadeBefore(files[0].parent / ".sounds.jsonl")
    works = [task.work(plan) for plan in plans]
    results = [made.result([file], work) for file, work in zip(files, works, strict=True)]
    kept = [result is not None for result in results]
    groups = list(_groups(task, plans, kept, batch))
    for group in _shown(groups):
        for index, result in zip(
            group, _write(task, [plans[each] for each in group], [files[each] for each in group]), strict=True
        ):
            results[index] = result
            made.add([files[index]], works[index], result)
    return [result | {"kept": was} for result, was in zip(results, kept, strict=True) if result is not None]


def _groups(task: "TTATask", plans: "list[Plan]", kept: list[bool], batch: int) -> Iterator[list[int]]:
    """The numbers of the plans that are not kept, in batches that the task can generate together."""
    group: list[int] = []
    for index in (number for number, is_kept in enumerate(kept) if not is_kept):
        if group and (len(group) == batch or not task.alike([plans[each] for each in (*group, index)])):
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _shown(groups: list[list[int]]) -> Iterator[list[int]]:
    """The groups, with a progress bar on standard error for several of them, if that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    yield from track(
        groups, description="generating", console=Console(stderr=True), transient=True,
        disable=len(groups) < 2 or not sys.stderr.isatty(),
    )  # fmt: skip


def _write(task: "TTATask", plans: "list[Plan]", files: list[Path]) -> list[dict[str, Any]]:
    """Generate plans together and write their files; what was done, in values of JSON."""
    start = time.perf_counter()
    sounds = task.render(plans)
    seconds = time.perf_counter() - start
    if (peak := max(sound.peak for sound in sounds)) > 1:
        warnings.warn(f"samples beyond full scale ({peak:.2f}) were clipped", UserWarning, stacklevel=2)
    make_folder(files[0].parent)
    for sound, file in zip(sounds, files, strict=True):
        Audio(sound.samples.clip(-1, 1), sound.sample_rate).save(file)
    total = sum(sound.duration for sound in sounds)
    return [
        {
            "file": str(file), "caption": plan.request.caption, "duration": round(sound.duration, 3),
            "sample_rate": sound.sample_rate, "model": task.model_name, "seed": plan.request.seed,
            "real_time_factor": round(seconds / total, 4), "notes": list(plan.notes),
        }
        for plan, sound, file in zip(plans, sounds, files, strict=True)
    ]  # fmt: skip


def _sentence(result: dict[str, Any]) -> str:
    return (
        f"wrote {result['file']}: {result['duration']} s at {result['sample_rate']} Hz by {result['model']}, "
        f"real-time factor {result['real_time_factor']}"
    )
