"""Speak a text: write it as an audio file, play it, or stream it sentence by sentence."""

import argparse
import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.cli.completion import complete
from amphion_core.cli.request_options import add_device_options, add_request_options, read_request
from amphion_core.convolution_cache import keep_few_convolutions
from amphion_core.errors import AmphionError, DataError, counted
from amphion_core.files import check_folder, check_not_overwritten, is_file, make_folder
from amphion_tts.playing import Player, find_player, pcm, play
from amphion_tts.request import TTSRequest
from amphion_tts.texts import Line, many_texts, one_text, refuse
from amphion_tts.voices import read_prompt

if TYPE_CHECKING:
    from amphion_core.api import Audio, Metric
    from amphion_tts.plan import Plan
    from amphion_tts.spoken_files import Count, Output
    from amphion_tts.task import TTSTask

DEFAULT = "speech.wav"
SHOWN = 5  # words that a note names
LONG = 2000  # characters; from there on memory matters more than a tenth of the time


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion tts``; those that describe the request are generated from ``TTSRequest``."""
    parser.add_argument("text", nargs="?", help='the text to speak, in quotes; "-" reads standard input')
    parser.add_argument("--file", type=Path, help="a UTF-8 text file to speak, in place of the text")
    parser.add_argument(
        "-o", "--out", help="audio file: .wav .flac .ogg .mp3 (speech.wav); a folder, which ends in / or is "
        "there already: each line of --file becomes an audio file, named by its number, or by its id in id|text"
    )  # fmt: skip
    parser.add_argument("--model", help="card, weights folder or run; by default the first default card on this disk")
    parser.add_argument(
        "--vocoder", help="card, weights folder, run or vocoder/griffin_lim, for models whose output is a mel"
    )
    add_request_options(parser, TTSRequest, skip=("text",))
    add_device_options(parser)
    parser.add_argument(
        "--play", action="store_true", help="play it as it is spoken; a file is then written only with -o"
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="write 16-bit mono PCM to standard output as it is spoken; ignores the options of files and --play",
    )
    parser.add_argument(
        "--wer", action="store_true", help="let a speech recogniser check what was said (needs amphion-eval)"
    )
    parser.add_argument(
        "--timings", metavar="FILE", help="write when each word and phone is said, as JSON; .json: beside the audio"
    )
    parser.add_argument(
        "--subtitles", metavar="FILE", help="write subtitles, .srt or .vtt; the suffix alone: beside the audio"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    complete(parser, model=("cards:tts", "paths"), vocoder=("cards:vocoder", "models:vocoder", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Speak the text and write the file; the last line says where it is."""
    import amphion_core as amphion

    folder = _folder(args)
    lines = many_texts(args.file) if folder else [Line("", "", one_text(args.text, args.file))]
    if args.text and len(args.text) < 200 and is_file(args.text):
        print(f"note: the name of the file is spoken; to speak its text: --file {args.text}", file=sys.stderr)
    if sum(len(line.text) for line in lines) > LONG:
        keep_few_convolutions()
    requests = _requests(args, lines)
    out = args.out if args.out is not None or args.play else DEFAULT
    if args.stream:
        _say_ignored(args)
    elif folder:
        check_folder(folder)
    elif out is not None:
        amphion.Audio.check_target(out)
    outputs = _outputs(args, lines, folder, out)
    scorer = amphion.get("metrics", "wer") if args.wer and not args.stream else None
    player = find_player() if args.play and not args.stream else None
    task: TTSTask = amphion.task(
        "tts", model=args.model, vocoder=args.vocoder, precision=args.precision, device=args.device
    )
    if task.note:
        print(f"note: {task.note}", file=sys.stderr)
    if args.stream:
        return _stream(task, requests[0])
    plans = _plans(task, lines, requests, early=player is not None)
    if scorer and any(plan.has_phones for plan in plans):
        raise DataError(
            "--wer needs words, and the text has phones", hint="write these words, with their phones in a --lexicon"
        )
    _say_heard(plans)
    _say_guessed(task, plans)
    if folder:
        make_folder(folder)
    results = _speak(task, plans, outputs, folder, player)
    if scorer:
        metric = _in_language(scorer, task)
        for plan, result in zip(plans, results, strict=True):
            result["wer"] = round(metric.score(amphion.Audio.load(result["file"]), text=plan.text), 2)
    if args.json:
        print(json.dumps({"files": results} if folder else results[0]))
    else:
        print(_many(results, folder) if folder else _sentence(results[0]))
    return 0


def _outputs(args: argparse.Namespace, lines: list[Line], folder: Path | None, out: str | None) -> "list[Output]":
    """The files of each line; none for a text that is only played. Raises DataError for options without a file."""
    from amphion_tts.spoken_files import Output

    if args.stream:
        return []
    if folder is None and out is None:
        wanted = {"--timings": args.timings, "--subtitles": args.subtitles, "--wer": args.wer}
        if needing := [name for name, given in wanted.items() if given]:
            raise DataError(f"{needing[0]} needs a file of audio", hint="-o speech.wav")
        return []
    audio = [folder / f"{line.name}.wav" for line in lines] if folder else [Path(str(out))]
    outputs = [Output.beside(path, args.timings, args.subtitles, many=folder is not None) for path in audio]
    prompts = {getattr(args, "request.prompt", None), *(line.prompt for line in lines)}
    hint = "choose another folder with -o" if folder else f"-o {audio[0].with_stem(f'{audio[0].stem}_new')}"
    check_not_overwritten(filter(None, (args.file, *prompts)), chain(*(each.files for each in outputs)), hint=hint)
    return outputs


def _in_language(scorer: "type[Metric]", task: "TTSTask") -> "Metric":
    """The word error rate in the language of the voice's text frontend: ``en`` for the voice ``en-us``."""
    return scorer(scorer.Config.model_validate({"language": task.frontend.config.language.partition("-")[0]}))


def _folder(args: argparse.Namespace) -> Path | None:
    """The folder that gets one file for each line of --file; None for one file. Raises DataError without --file."""
    out = Path(args.out or "")
    if args.stream or not args.out or not (args.out.endswith(("/", os.sep)) or out.is_dir()):
        return None
    if args.file is None:
        raise DataError(
            f"{args.out} is a folder, which gets a file for each line of --file", hint="-o speech.wav, or --file FILE"
        )
    return out


def _requests(args: argparse.Namespace, lines: list[Line]) -> list[TTSRequest]:
    """The request of each line. The files that the options name are read once."""
    import amphion_core as amphion

    request: TTSRequest = read_request(args, amphion.get("tasks", "tts"), text=lines[0].text)
    prompts: dict[str, amphion.Audio] = {}
    return [_with_line(request, line, prompts) for line in lines]


def _with_line(request: TTSRequest, line: Line, prompts: "dict[str, Audio]") -> TTSRequest:
    """``request`` with what a line states. ``prompts`` are those that were read already.

    Raises DataError that names the line of a prompt that cannot be read.
    """
    changes: dict[str, Any] = {"text": line.text, "speaker": line.speaker or request.speaker}
    if line.prompt:
        try:
            prompts[line.prompt] = prompts.get(line.prompt) or read_prompt(line.prompt)
        except AmphionError as error:
            raise DataError(f"{line.where}: {error.message}", hint=error.hint) from error
        changes |= {"prompt": prompts[line.prompt], "prompt_text": line.prompt_text or None}
    elif line.prompt_text:
        changes["prompt_text"] = line.prompt_text  # of the recording that --prompt names
    return request.replace(**changes)


def _plans(task: "TTSTask", lines: list[Line], requests: list[TTSRequest], *, early: bool) -> "list[Plan]":
    """All requests, checked before anything is spoken. Raises the error of a single text, or lists those of lines."""
    if len(lines) == 1:
        return [task.plan(requests[0], early=early)]
    plans, problems = [], []
    for line, request in zip(lines, requests, strict=True):
        try:
            plans.append(task.plan(request, early=early))
        except AmphionError as error:
            problems.append(f"{line.where}: {error.message}")
    refuse(problems, "these texts cannot be spoken")
    return plans


def _speak(
    task: "TTSTask", plans: "list[Plan]", outputs: "list[Output]", folder: Path | None, player: Player | None
) -> list[dict[str, Any]]:
    """Speak, play and write each plan, with a progress bar on standard error when there are several sentences."""
    from amphion_tts.spoken_files import write, write_all

    with _progress(sum(len(plan.pieces) for plan in plans)) as count:
        if folder:
            results = write_all(task, plans, outputs, count, folder, player=player)
        elif outputs:
            results = write(task, [(plans[0], outputs[0])], count, player=player)
        else:
            assert player is not None  # without a player there is a file
            results = [_played(task, plans[0], count, player)]
    peaks = [result.pop("peak") for result in results]
    if clipped := sum(peak > 1 for peak in peaks):
        what = "the audio" if len(peaks) == 1 else f"{clipped} of {len(peaks)} files"
        warnings.warn(f"{what} went beyond full scale (up to {max(peaks):.2f}) and was clipped", stacklevel=2)
    return results


def _played(task: "TTSTask", plan: "Plan", count: "Count", player: Player) -> dict[str, Any]:
    """Play a text without a file."""
    start, samples, peak = time.perf_counter(), 0, 0.0
    for piece in play(task.speak(plan), task.sample_rate, player):
        samples += len(piece.samples)
        peak = max(peak, piece.peak)
        count(1)
    duration = samples / task.sample_rate
    return {
        "file": None, "duration": round(duration, 3), "sample_rate": task.sample_rate,
        "real_time_factor": round((time.perf_counter() - start) / duration, 4), "model": task.model_name, "peak": peak,
    }  # fmt: skip


@contextlib.contextmanager
def _progress(total: int) -> "Iterator[Count]":
    """A function that counts spoken sentences; the bar is on standard error, if that is a terminal."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("speaking", total=total)
        yield lambda number: progress.advance(bar, number)


def _say_ignored(args: argparse.Namespace) -> None:
    """Name the options that --stream does not use."""
    given = {
        "-o": args.out is not None, "--play": args.play, "--wer": args.wer, "--json": args.json,
        "--timings": args.timings, "--subtitles": args.subtitles,
    }  # fmt: skip
    if ignored := [name for name, is_given in given.items() if is_given]:
        print(f"note: --stream writes to standard output only and ignores {', '.join(ignored)}", file=sys.stderr)


def _stream(task: "TTSTask", request: TTSRequest) -> int:
    if sys.stdout is None:
        raise DataError("--stream writes to standard output, which is closed", hint='amphion tts "..." -o speech.wav')
    if sys.stdout.isatty():
        command = 'amphion tts --stream "..." | aplay -f S16_LE -c 1 -r'
        raise DataError("--stream writes raw audio, not for a terminal", hint=f"{command} {task.sample_rate}")
    plan = task.plan(request, early=True)
    _say_heard([plan])
    _say_guessed(task, [plan])
    peak = 0.0
    for piece in task.speak(plan):
        peak = max(peak, piece.peak)
        sys.stdout.buffer.write(pcm(piece))
        sys.stdout.buffer.flush()
    if peak > 1:
        warnings.warn(f"samples beyond full scale ({peak:.2f}) were clipped", UserWarning, stacklevel=2)
    return 0


def _say_heard(plans: "list[Plan]") -> None:
    """What a user should know about the prompts, and what a recogniser heard in them, once for each prompt."""
    for heard in {id(plan.heard): plan.heard for plan in plans if plan.heard is not None}.values():
        for note in heard.notes:
            print(f"note: {note}", file=sys.stderr)
        if heard.is_transcript:
            say = "if it is wrong, state it: --prompt-text"
            print(f'note: the recogniser heard in the prompt: "{heard.text}"; {say}', file=sys.stderr)


def _say_guessed(task: "TTSTask", plans: "list[Plan]") -> None:
    """Name the words whose sounds the frontend guessed, once for all texts, and what a user can do."""
    parts = (part for plan in plans for piece in plan.pieces for part in piece.parts)
    texts = (part.text for part in parts if part.is_word and not part.is_stated)
    if words := [*dict.fromkeys(word for text in texts for word in task.frontend.guessed(text))]:
        named = ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")
        line = " ".join([words[0], *(sound.removeprefix("@") for sound in task.frontend.tokens(words[0]))])
        what = f"the sounds of {counted(len(words), 'word')} are guessed: {named}"
        print(f"note: {what}; to state them: --lexicon FILE with lines such as {line!r}", file=sys.stderr)


def _sentence(result: dict[str, Any]) -> str:
    wer = f", word error rate {result['wer']} %" if "wer" in result else ""
    done = f"wrote {result['file']}" if result["file"] else "played"
    return (
        f"{done}: {result['duration']} s at {result['sample_rate']} Hz by {result['model']}, "
        f"real-time factor {result['real_time_factor']}{wer}"
    )


def _many(results: list[dict[str, Any]], folder: Path) -> str:
    names = [Path(result["file"]).name for result in results]
    written = [result for result in results if not result["kept"]]
    kept = len(results) - len(written)
    done = [f"wrote {counted(len(written), 'file')} to {folder}"] if written else []
    done += [f"kept {counted(kept, 'file')}{'' if written else f' in {folder}'}"] if kept else []
    named = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    rates = [result["wer"] for result in results if "wer" in result]
    return (
        f"{' and '.join(done)} ({named}): {sum(result['duration'] for result in results):.3f} s at "
        f"{results[0]['sample_rate']} Hz by {results[0]['model']}"
        + (f", real-time factor {_joint_factor(written):.4f}" if written else "")
        + (f", mean word error rate {sum(rates) / len(rates):.2f} %" if rates else "")
    )


def _joint_factor(results: list[dict[str, Any]]) -> float:
    """Seconds of computing for each second of audio of all results together."""
    seconds = sum(result["duration"] for result in results)
    return float(sum(result["duration"] * result["real_time_factor"] for result in results) / seconds)
