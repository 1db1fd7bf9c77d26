"""The body of a request -> the fields of a task's ``Request``.

A text that a client sends never becomes the path of a file here: recordings and other files are uploads of a form, or
``data:`` URLs in JSON. They are written to a folder of this request, read, and deleted.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import ClientDisconnect, Request

from amphion_core.audio import Audio
from amphion_core.config import BaseConfig
from amphion_core.errors import AmphionError, DataError, counted, shortened
from amphion_core.request_fields import kind_of, reads_file, typed_values
from amphion_core.requests import FromFile
from amphion_core.serving.answers import ClientGone, Refused
from amphion_core.serving.settings import Settings

_DATA = re.compile(r"data:(?P<type>[\w.+/-]*)(?:;[\w.+=-]+)*?;base64,(?P<data>.*)", re.S)
_SUFFIXES = {"mpeg": ".mp3", "mp3": ".mp3", "x-wav": ".wav", "wave": ".wav", "x-flac": ".flac", "opus": ".opus"}
MOST_PARTS = 100  # of a form
WIDEST = 2 * 48000  # samples of a second of stereo at 48 kHz: what a second of --max-audio may hold


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form: its name on the client's computer, and its content."""

    filename: str
    content: bytes


async def read_body(request: Request, settings: Settings) -> dict[str, Any]:
    """The fields of a form (texts and uploads; a list where a field is repeated) or of a JSON object.

    Raises Refused for another kind of body, and for one that does not arrive within the time limit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    try:
        async with asyncio.timeout(settings.timeout):
            if kind == "multipart/form-data":
                limits = {"max_files": MOST_PARTS, "max_fields": MOST_PARTS, "max_part_size": settings.max_bytes}
                async with request.form(**limits) as form:
                    return await _parts(form)
            body = await request.body()
    except ClientDisconnect as error:
        raise ClientGone from error
    except TimeoutError as error:
        raise Refused(408, "the request did not arrive in time", hint="send it again", unread=True) from error
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"the body of the request is no JSON: {shortened(error, 100)}", hint="send an object, or a form with files"
        ) from error
    if not isinstance(parsed, dict):
        raise DataError("the body of the request is no JSON object", hint="send an object, or a form with files")
    return parsed


async def _parts(form: FormData) -> dict[str, Any]:
    """The parts of a form by name; uploads are read into memory, whose size the server limits."""
    found: dict[str, Any] = {}
    for name, part in form.multi_items():
        value = part if isinstance(part, str) else Upload(part.filename or name, await part.read())
        found[name] = value if name not in found else [*_as_list(found[name]), value]
    return found


async def checked_request(task: Any, given: Mapping[str, Any], settings: Settings) -> Any:
    """The request of a task (a class or an object) with the fields that a client sent.

    Raises RecipeError that lists every wrong field, AudioError for recordings, DataError for what is too long.
    """
    schema: type[BaseConfig] = task.Request
    if any(name in schema.model_fields and reads_file(schema, name) for name in given):
        return await asyncio.to_thread(_checked, task, given, settings)
    return _checked(task, given, settings)


def _checked(task: Any, given: Mapping[str, Any], settings: Settings) -> Any:
    schema: type[BaseConfig] = task.Request
    with Reader(settings) as reader:
        for name, value in given.items():
            reader.check(name, value, schema)
        shown = {name: value.filename if isinstance(value, Upload) else value for name, value in given.items()
                 if name not in schema.model_fields}  # fmt: skip
        fields = typed_values(schema, {**given, **shown}, partial(reader.from_file, schema))
        return task.request(**fields)


class Reader:
    """Reads the recordings and other files that a client sent. They lie in a folder that is deleted at the end.

    The messages of errors name the client's own files, without that folder.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._folder: TemporaryDirectory[str] | None = None
        self._count = self._samples = 0

    def __enter__(self) -> "Reader":
        """Nothing is prepared: most requests have no files."""
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Delete the files."""
        if self._folder is not None:
            if isinstance(error, AmphionError):
                error.message, error.hint = self._without_folder(error.message), self._without_folder(error.hint)
            self._folder.cleanup()

    def check(self, name: str, value: Any, schema: type[BaseConfig]) -> None:
        """Raise DataError for a file where a value belongs, and for a text that is too long."""
        if name in schema.model_fields and reads_file(schema, name):
            return
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Upload) and name in schema.model_fields:
                raise DataError(f"{name} is a value, and a file was sent", hint=f"send it as text: -F {name}=VALUE")
            check_length(each, self.settings, name)

    def from_file(self, schema: type[BaseConfig], name: str, value: Any) -> Any:
        """The value of a field that reads a file."""
        kind = kind_of(schema.model_fields[name].annotation)
        if isinstance(kind, type) and issubclass(kind, FromFile):
            return self._file(name, value) if isinstance(value, Upload | str) else value
        if isinstance(value, list | tuple):
            return [self.from_file(schema, name, each) for each in value]
        return value if value is None else self.recording(name, value)

    def recording(self, name: str, value: Any) -> Audio:
        """An upload or a ``data:`` URL as audio. Raises AudioError, DataError."""
        path = self._file(name, value)
        from amphion_core.audio_files.reading import AudioFile

        with AudioFile(path) as file:
            length = file.length()
            seconds, samples = length / file.samplerate, length * file.channels
        if seconds > self.settings.max_audio:
            raise DataError(
                f"{name} lasts {seconds:.0f} seconds, and this server takes at most {self.settings.max_audio:g}",
                hint="send it in parts; the server's option --max-audio is the limit",
            )
        self._samples += samples  # a small file of silence may have any rate, and a request many files
        if self._samples > self.settings.max_audio * WIDEST:
            raise DataError(
                f"the recordings have {self._samples:,} samples, and this server takes at most "
                f"{self.settings.max_audio * WIDEST:,.0f}, counting all channels",
                hint="send them in mono or at a lower rate; the server's option --max-audio is the limit",
            )
        return Audio.load(path)

    def _file(self, name: str, value: Any) -> Path:
        """The content of an upload or of a ``data:`` URL in a new file."""
        if isinstance(value, Upload):
            content, called = value.content, Path(value.filename).name or name
        elif isinstance(value, str) and (found := _DATA.fullmatch(value)):
            try:
                content = base64.b64decode(found["data"], validate=True)
            except (binascii.Error, ValueError) as error:
                raise DataError(f"{name} is no base64", hint=f"data:audio/wav;base64,... or -F {name}=@FILE") from error
            ending = found["type"].rpartition("/")[2]
            called = name + _SUFFIXES.get(ending, f".{ending or 'wav'}")
        else:
            raise DataError(
                f"{name} is a file, and {_short(value)} was sent",
                hint=f"send its content: -F {name}=@FILE in a form, or data:audio/wav;base64,... in JSON",
            )
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="amphion-")
        self._count += 1
        place = Path(self._folder.name, str(self._count))
        place.mkdir()
        path = place / re.sub(r"[^\w.-]", "_", called)[-100:]
        path.write_bytes(content)
        return path

    def _without_folder(self, text: Any) -> Any:
        folder = self._folder.name if self._folder else ""
        return text and re.sub(rf"{re.escape(folder)}/(\d+/)?", "", text)


def check_length(value: Any, settings: Settings, name: str = "the text") -> None:
    """Raise DataError for a text with more characters than the server takes."""
    if isinstance(value, str) and len(value) > settings.max_text:
        raise DataError(
            f"{name} has {counted(len(value), 'character')}, and this server takes at most {settings.max_text}",
            hint="send it in parts; the server's option --max-text is the limit",
        )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _short(value: Any) -> str:
    return f"the text {shortened(value, 60)!r}" if isinstance(value, str) else f"a {type(value).__name__}"
