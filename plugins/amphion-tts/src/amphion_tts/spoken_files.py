"""Writes spoken texts to files while they are spoken: audio, times of words and phones, and subtitles."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amphion_core.audio import Audio
from amphion_core.audio_files.writing import AudioWriter
from amphion_core.errors import DataError, counted
from amphion_core.files import atomic_write, check_writable
from amphion_core.made_before import MadeBefore
from amphion_tts.playing import Player, play
from amphion_tts.spoken import Spoken
from amphion_tts.subtitles import cues, srt, vtt
from amphion_tts.timings import Word

if TYPE_CHECKING:
    from amphion_tts.plan import Plan
    from amphion_tts.task import TTSTask

FEW_PIECES = 8  # a text of fewer is spoken again from its beginning, which takes seconds
SUBTITLES = {".srt": srt, ".vtt": vtt}
Count = Callable[[int], None]
"""Is called with the number of pieces that are ready."""
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Output:
    """Where a text is written. ``timings`` and ``subtitles`` are files beside the audio; None: not wanted."""

    audio: Path
    timings: Path | None = None
    subtitles: Path | None = None

    @classmethod
    def beside(cls, audio: Path, timings: str | None, subtitles: str | None, *, many: bool = False) -> "Output":
        """The files that options name. A suffix such as ``.srt`` means a file with the name of the audio.

        Raises DataError for another suffix, and for one name for ``many`` texts; AmphionError for a path that cannot be
        written.
        """
        found = []
        for option, given, suffixes in (("timings", timings, (".json",)), ("subtitles", subtitles, (*SUBTITLES,))):
            is_suffix = given is not None and given.lower() in suffixes
            if given is not None and not is_suffix and (many or Path(given).suffix.lower() not in suffixes):
                wanted = f"--{option} {suffixes[0]}"
                problem = f"--{option} {given} is one file for many texts" if many else f"{given} has another suffix"
                names = " or ".join(suffixes)
                raise DataError(problem, hint=f"{wanted}; the suffix is {names}, and alone it names each file")
            found.append(None if given is None else audio.with_suffix(given.lower()) if is_suffix else Path(given))
        output = cls(audio, *found)
        if not many:
            for path in filter(None, found):
                check_writable(path)
        return output

    @property
    def files(self) -> list[Path]:
        """All files that are wanted."""
        return [path for path in (self.audio, self.timings, self.subtitles) if path]


def write_all(
    task: "TTSTask", plans: "Sequence[Plan]", outputs: Sequence[Output], count: Count, folder: Path, *,
    player: Player | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Speak each plan into its files, and return the result of each.

    Files that were made before are kept as they are, unless they are played; their results say ``kept``: true.
    On a GPU, texts are spoken together in batches.
    """
    from amphion_tts.speaking import WINDOW  # imports torch

    made = MadeBefore(folder / ".spoken.jsonl")
    works = [task.work(plan) for plan in plans]
    results = [None if player else made.result(output.files, work) for output, work in zip(outputs, works, strict=True)]
    kept = [result is not None for result in results]
    if any(kept):
        count(sum(len(plan.pieces) for plan, is_kept in zip(plans, kept, strict=True) if is_kept))
        verb = "is" if sum(kept) == 1 else "are"
        print(f"note: {counted(sum(kept), 'file')} of the same texts and voice {verb} there already", file=sys.stderr)
    group: list[int] = []
    for index in range(len(plans)):
        group += [index] if results[index] is None else []
        enough = task.batch_size == 1 or sum(len(plans[each].pieces) for each in group) >= WINDOW
        if group and (enough or index == len(plans) - 1):
            new = write(task, [(plans[each], outputs[each]) for each in group], count, player=player)
            for each, result in zip(group, new, strict=True):
                results[each] = result
                made.add(outputs[each].files, works[each], result)
            group = []
    return [result | {"kept": is_kept} for result, is_kept in zip(results, kept, strict=True) if result is not None]


def write(
    task: "TTSTask", texts: "Sequence[tuple[Plan, Output]]", count: Count, *, player: Player | None = None
) -> list[dict[str, Any]]:
    """Speak texts into their files at the same time; the result of each: files, duration, real-time factor, peak.

    Long texts that were interrupted go on where they stopped, unless they are played.
    """
    start = time.perf_counter()
    with ExitStack() as stack:
        writers = []
        for plan, output in texts:
            work = task.work(plan) if player is None and len(plan.pieces) >= FEW_PIECES else None
            writers.append(stack.enter_context(AudioWriter(output.audio, task.sample_rate, work=work)))
            if kept := writers[-1].pieces:
                count(kept)
                done = f"the first {writers[-1].duration:.1f} s are there from an earlier run, which goes on"
                print(f"note: {output.audio}: {done}", file=sys.stderr)
        before = sum(writer.duration for writer in writers)
        try:
            _speak(task, texts, writers, count, player)
        except KeyboardInterrupt:
            _say_what_is_kept(texts, writers)
            raise
        seconds = time.perf_counter() - start
        new = sum(writer.duration for writer in writers) - before
        results = []
        for (plan, output), writer in zip(texts, writers, strict=True):
            write_times(task, plan, output, writer)
            results.append(_result(task, output, writer, factor=seconds / new if new else 0.0))
    return results


def _speak(
    task: "TTSTask", texts: "Sequence[tuple[Plan, Output]]", writers: Sequence[AudioWriter], count: Count,
    player: Player | None,
) -> None:  # fmt: skip
    """Speak what the writers do not have yet."""
    todo = [
        (writer, output, (plan, piece))
        for writer, (plan, output) in zip(writers, texts, strict=True)
        for piece in plan.pieces[writer.pieces :]
    ]
    spoken = task.speak_all(planned for _, _, planned in todo)
    if player:
        spoken = play(spoken, task.sample_rate, player)
    for (writer, output, _), piece in zip(todo, spoken, strict=True):
        if (output.timings or output.subtitles) and piece.durations is None:
            _ = piece.words  # raises the error that says why there are no times
        note = {"spoken": piece.spoken_samples, "durations": piece.durations, "peak": round(piece.peak, 4)}
        writer.write(Audio(piece.samples.clip(-1, 1), piece.sample_rate), note)
        count(1)


def _result(task: "TTSTask", output: Output, writer: AudioWriter, *, factor: float) -> dict[str, Any]:
    peak = max(note["peak"] for note in writer.notes())
    files = {"timings": output.timings, "subtitles": output.subtitles}
    return {
        "file": str(output.audio), "duration": round(writer.duration, 3), "sample_rate": task.sample_rate,
        "real_time_factor": round(factor, 4), "model": task.model_name, "peak": peak,
        **{name: str(path) for name, path in files.items() if path},
    }  # fmt: skip


def _say_what_is_kept(texts: "Sequence[tuple[Plan, Output]]", writers: Sequence[AudioWriter]) -> None:
    for (plan, output), writer in zip(texts, writers, strict=True):
        if writer.keeps_part:
            done = f"{writer.pieces} of {counted(len(plan.pieces), 'sentence')} ({writer.duration:.1f} s)"
            print(f"note: {output.audio}: {done} are kept in {writer.part.name}; {_AGAIN}", file=sys.stderr)


_AGAIN = "type the same command again to go on, or remove this file"


def write_times(task: "TTSTask", plan: "Plan", output: Output, writer: AudioWriter) -> None:
    """Write the times of words and phones, and the subtitles, of what ``writer`` has."""
    if output.timings:
        with _text_file(output.timings) as write:
            head = {"audio": output.audio.name, "duration": round(writer.duration, 4), "model": task.model_name}
            write(json.dumps(head, ensure_ascii=False)[:-1] + ', "sentences": [\n')
            for number, (text, words) in enumerate(_sentences(task, plan, writer)):
                write(",\n" * (number > 0) + json.dumps(_described(text, words), ensure_ascii=False))
            write("\n]}\n")
    if output.subtitles:
        form = SUBTITLES[output.subtitles.suffix.lower()]
        with _text_file(output.subtitles) as write:
            for cue in form(cues((words for _, words in _sentences(task, plan, writer)), writer.duration)):
                write(cue)


def _sentences(task: "TTSTask", plan: "Plan", writer: AudioWriter) -> Iterator[tuple[str, list[Word]]]:
    """The text and the words of each piece that has any; times are in seconds from the beginning of the file."""
    start = 0
    for piece, note in zip(plan.pieces, writer.notes(), strict=True):
        spoken = Spoken(_NOTHING, task.sample_rate, piece, task.frontend, note["spoken"], note["durations"])
        if words := spoken.words:
            yield piece.text.strip(), [word.shifted(start / task.sample_rate) for word in words]
        start += note["spoken"] + round(piece.pause * task.sample_rate)


def _described(text: str, words: Iterable[Word]) -> dict[str, Any]:
    described = [
        {"text": word.text, "start": round(word.start, 4), "end": round(word.end, 4),
         "phones": [{"symbol": each.symbol, "start": round(each.start, 4), "end": round(each.end, 4)}
                    for each in word.phones]}
        for word in words
    ]  # fmt: skip
    return {"text": text, "start": described[0]["start"], "end": described[-1]["end"], "words": described}


@contextmanager
def _text_file(path: Path) -> Iterator[Callable[[str], Any]]:
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        yield file.write
