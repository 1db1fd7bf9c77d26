"""Makes the audio of what a user asked for, with each chosen model, and says how it can be made without the page."""

import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core import registry
from amphion_core.audio import Audio
from amphion_core.config import BaseConfig
from amphion_core.demo.jobs import Job
from amphion_core.demo.lines import Typed, command_line, python_lines
from amphion_core.errors import AmphionError
from amphion_core.loaded_tasks import LoadedTasks
from amphion_core.request_fields import is_recording, kind_of, named, typed_values
from amphion_core.system_errors import explained, is_memory_error

KEPT = 50  # folders of results on the disk, the newest ones


@dataclass(frozen=True, slots=True)
class Asked:
    """A filled form: the fields that differ from their defaults, and the models to compare.

    Recordings and files are paths of uploaded files. Without a model the task takes its default.
    """

    task: str
    models: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What one model made: an audio file, or the reason why there is none."""

    title: str
    audio: Path | None = None
    notes: tuple[str, ...] = ()
    error: AmphionError | None = None
    command: str = ""
    python: str = ""


class Studio:
    """Makes the results of the page, with the tasks that it keeps in memory and a folder for audio files."""

    def __init__(self, loaded: LoadedTasks, *, precision: Any = "float32", device: str = "cpu") -> None:
        self.loaded = loaded
        self.precision = precision
        self.device = device
        self.folder = Path(tempfile.mkdtemp(prefix="amphion-demo-"))

    def make(self, job: Job, asked: Asked) -> list[Result]:
        """One result for each model. An error of one model does not keep the others from being used."""
        results = []
        for model in asked.models or [""]:
            try:
                results.append(self._one(job, asked, model))
            except Exception as error:
                results.append(Result(model or asked.task, error=clear_error(error, asked.request)))
        return results

    def _one(self, job: Job, asked: Asked, model: str) -> Result:
        framework = registry.get("tasks", asked.task)
        config = ({"model": model} if model else {}) | dict(asked.config)
        config = typed_values(framework.Config, config)
        request = framework.request(**_values(framework.Request, asked.request))
        job.check(f"loading {model or asked.task}")
        start = time.perf_counter()
        try:
            task, audio = self._generate(job, asked.task, config, request)
        except Exception as error:
            if not (is_memory_error(error) or is_memory_error(error.__cause__)):
                raise
            self.loaded.unload()
            task, audio = self._generate(job, asked.task, config, request)
        seconds = time.perf_counter() - start
        name = getattr(task, "model_name", model) or asked.task
        notes = [note for note in [getattr(task, "note", None)] if note]
        if audio.peak > 1:
            notes.append(f"the audio went beyond full scale (up to {audio.peak:.2f}) and was clipped")
        shown = {key: _shown(framework.Request, key, value) for key, value in asked.request.items()}
        typed = Typed(asked.task, config, shown, self.device, self.precision)
        return Result(
            f"{name}: {audio.duration:.2f} s at {audio.sample_rate} Hz, made in {seconds:.1f} s",
            self._save(audio, f"{asked.task}-{name}"), tuple(notes), None,
            command_line(typed, framework.command), python_lines(typed),
        )  # fmt: skip

    def _generate(self, job: Job, name: str, config: Mapping[str, Any], request: Any) -> tuple[Any, Audio]:
        with self.loaded.use(name, precision=self.precision, device=self.device, **config) as task:
            job.check("generating")
            pieces, count = task.pieces(request)
            made: list[Audio] = []
            for piece in pieces:
                made.append(piece)
                seconds = sum(each.duration for each in made)
                of = f" of {count}" if count else ""
                job.check(f"generating: {len(made)}{of} pieces, {seconds:.1f} s of audio")
            return task, Audio.concatenate(made)

    def _save(self, audio: Audio, name: str) -> Path:
        """Write the audio into a new folder, and delete the oldest folders."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        older = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-KEPT]
        for path in older:
            shutil.rmtree(path, ignore_errors=True)
        safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)[-60:]
        clipped = Audio(np.clip(audio.samples, -1, 1), audio.sample_rate)
        return clipped.save(folder / f"{safe.strip('-')}.wav")

    def close(self) -> None:
        """Delete the audio files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _values(schema: type[BaseConfig], typed: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a request: recordings are read here, because a field would read the path of any file."""

    def read_file(name: str, value: Any) -> Any:
        annotation = schema.model_fields[name].annotation
        if (known := named(annotation)) is not None and value in known.names():
            return value  # the field finds what has this name
        return Audio.load(value) if is_recording(kind_of(annotation)) else Path(value)

    return typed_values(schema, typed, read_file)


def _shown(schema: type[BaseConfig], name: str, value: Any) -> Any:
    """A value as it stands in a command: of an uploaded file its name."""
    return typed_values(schema, {name: value}, lambda _, path: Path(path).name)[name]


def clear_error(error: Exception, typed: Mapping[str, Any]) -> AmphionError:
    """The error as the command line shows it. Uploaded files have their names, not their places on the server."""
    clear = error if isinstance(error, AmphionError) else explained(error)
    if clear is None:
        traceback.print_exception(error, file=sys.stderr)
        clear = AmphionError(f"unexpected {type(error).__name__}: {error}")
    message, hint = clear.message, clear.hint
    for value in typed.values():
        if isinstance(value, str) and "/" in value:
            message = message.replace(value, Path(value).name)
            hint = hint.replace(value, Path(value).name) if hint else hint
    return AmphionError(message, hint=hint)
