"""Writes vocoded files while they are made: whole files or none, and interrupted work goes on."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.audio import Audio
from amphion_core.audio_files import AudioFileError
from amphion_core.audio_files.writing import AudioWriter
from amphion_core.errors import AmphionError
from amphion_core.files import is_full, make_folder
from amphion_core.made_before import MadeBefore

if TYPE_CHECKING:
    from amphion_vocoders.request import VocoderRequest
    from amphion_vocoders.task import VocoderTask

Advance = Callable[[float], None]
"""Is called with the part of a file that was made, from 0 to 1; the parts of a file add up to about 1."""


@dataclass(slots=True)
class Job:
    """A file to make: what is read, where it is written, and what came of it, a result or an error."""

    request: "VocoderRequest"
    target: Path
    result: dict[str, Any] | None = None
    error: AmphionError | None = None

    @property
    def source(self) -> Path:
        """The file to read."""
        assert isinstance(self.request.audio, Path)
        return self.request.audio

    def fail(self, error: AmphionError) -> None:
        """Keep the error of this file, so that the others are made. Raises it where the disk is full."""
        if error.__cause__ is not None and is_full(error.__cause__):
            raise error
        self.error = error


def make_files(task: "VocoderTask", jobs: list[Job], advance: Advance, *, list_in: Path | None) -> Iterator[Job]:
    """Make each file, and yield its job when it is done.

    With the folder ``list_in``, files that were made before by the same work are kept, and their results say ``kept``:
    true. Short files with equally many frames are vocoded together where the task can. Raises AmphionError where the
    disk is full.
    """
    made = MadeBefore(list_in / ".vocoded.jsonl") if list_in else None
    todo = []
    for job in jobs:
        result = None
        try:
            result = made and made.result([job.target], task.work(job.request))
        except AmphionError as error:  # the file is gone
            job.fail(error)
        if result:
            job.result = result | {"kept": True}
        if job.result or job.error:
            advance(1)
            yield job
        else:
            todo.append(job)
    for group in _groups(task, todo):
        if len(group) == 1:
            _make_one(task, group[0], advance)
        else:
            _make_together(task, group, advance)
        for job in group:
            if made and job.result:
                made.add([job.target], task.work(job.request), job.result)
            yield job


def _groups(task: "VocoderTask", jobs: list[Job]) -> Iterator[list[Job]]:
    """The jobs in groups that are vocoded together: short ones with about equally many frames, else one by one."""
    if task.batch_size == 1:
        yield from ([job] for job in jobs)
        return
    alike: dict[int, list[Job]] = {}
    for job in jobs:
        try:
            count = task.frames(job.source)
        except AmphionError:  # `_make_one` meets it again
            count = None
        if count is None or not task.is_short(count):
            yield [job]
            continue
        group = alike.setdefault(count, [])
        group.append(job)
        if len(group) == task.batch_size:
            yield alike.pop(count)
    yield from alike.values()


def _make_one(task: "VocoderTask", job: Job, advance: Advance) -> None:
    """Make a file chunk by chunk. A long one that was interrupted goes on where it stopped."""
    begin = time.perf_counter()
    try:
        frames = task.frames(job.source)
        make_folder(job.target.parent)
        work = None if frames is not None and task.is_short(frames) else task.work(job.request)
        with AudioWriter(job.target, task.mel.sample_rate, work=work) as writer:
            before = writer.duration
            if writer.pieces:
                done = f"the first {before:.1f} s are there from an earlier run, which goes on"
                print(f"note: {job.target}: {done}", file=sys.stderr)
            total = frames and frames * task.mel.hop_length  # samples
            advance(writer.samples / total if total else 0)
            peak = max((note["peak"] for note in writer.notes()), default=0.0)
            try:
                for piece in task.chunks(job.request, start=writer.pieces):
                    _write(writer, piece)
                    peak = max(peak, piece.peak)
                    advance(len(piece.samples) / total if total else 0)
            except KeyboardInterrupt:
                if writer.keeps_part:
                    done = f"the first {writer.duration:.1f} s are kept in {writer.part.name}"
                    again = "type the same command again to go on, or remove this file"
                    print(f"note: {job.target}: {done}; {again}", file=sys.stderr)
                raise
            advance(0 if total else 1)
            job.result = _result(job, writer, peak, seconds=time.perf_counter() - begin, new=writer.duration - before)
    except AmphionError as error:
        job.result = None
        job.fail(error)


def _make_together(task: "VocoderTask", jobs: list[Job], advance: Advance) -> None:
    """Make short files: those with the same number of frames are vocoded at once."""
    begin, alike = time.perf_counter(), dict[int, list[tuple[Job, Any]]]()
    for job in jobs:
        try:
            block = task.whole(job.source)
            alike.setdefault(block.mel.shape[2], []).append((job, block))
        except AmphionError as error:
            job.fail(error)
    for items in alike.values():
        made = task.vocode_alike([block for _, block in items], items[0][0].request)
        seconds = (time.perf_counter() - begin) / len(jobs)
        for (job, _), audio in zip(items, made, strict=True):
            try:
                make_folder(job.target.parent)
                with AudioWriter(job.target, audio.sample_rate) as writer:
                    _write(writer, audio)
                    job.result = _result(job, writer, audio.peak, seconds=seconds, new=audio.duration)
            except AmphionError as error:
                job.result = None
                job.fail(error)
    advance(len(jobs))


def _write(writer: AudioWriter, audio: Audio) -> None:
    """Write a piece, clipped, since the command counts clipped files and the writer would warn for each."""
    writer.write(Audio(audio.samples.clip(-1, 1), audio.sample_rate), {"peak": round(audio.peak, 4)})


def _result(job: Job, writer: AudioWriter, peak: float, *, seconds: float, new: float) -> dict[str, Any]:
    return {
        "file": str(job.target), "duration": round(writer.duration, 3),
        "real_time_factor": round(seconds / new, 4) if new else 0.0, "peak": round(peak, 4), "clipped": peak > 1,
    }  # fmt: skip


def reason_of(error: AmphionError) -> str:
    """Why a file was not vocoded, without its name."""
    return error.reason if isinstance(error, AudioFileError) else error.message
