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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request

from amphion_core.audio import Audio
from amphion_core.config import BaseConfig
from amphion_core.errors import AmphionError, DataError, counted, shortened
from amphion_core.request_fields import kind_of, takes_text
from amphion_core.requests import FromFile
from amphion_core.serving.answers import Refused
from amphion_core.serving.settings import Settings

_DATA = re.compile(r"data:(?P<type>[\w.+/-]*)(?:;[\w.+=-]+)*?;base64,(?P<data>.*)", re.S)
_SUFFIXES = {"mpeg": ".mp3", "mp3": ".mp3", "x-wav": ".wav", "wave": ".wav", "x-flac": ".flac", "opus": ".opus"}
_FILES = ('"audio-file"', '"path"', '"file-path"', '"directory-path"')  # formats in a JSON schema
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
    except TimeoutError as error:
        raise Refused(408, "the request did not arrive in time", hint="send it again") from error
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"the body of the request is no JSON: {shortened(error, 100)}", hint="send an object, or a form with files"
        ) from error
    if not isinstance(parsed, dict):
        raise DataError("the body of the request is no JSON object", hint='{"text": "Any sentence you like."}')
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
    return await asyncio.to_thread(_checked, task, given, settings)


def _checked(task: Any, given: Mapping[str, Any], settings: Settings) -> Any:
    schema: type[BaseConfig] = task.Request
    with TemporaryDirectory(prefix="amphion-") as folder:
        reader = Reader(Path(folder), settings)
        fields = {
            name: reader.value(name, value, schema) if name in schema.model_fields else _shown(value)
            for name, value in given.items()
        }
        with without_folder(folder):
            return task.request(**fields)


class Reader:
    """Turns what a client sent into values for a ``Request``. Files are written to ``folder``."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self._count = self._samples = 0

    def value(self, name: str, value: Any, schema: type[BaseConfig]) -> Any:
        """The value of one field."""
        kind = kind_of(schema.model_fields[name].annotation)
        if isinstance(kind, type) and issubclass(kind, FromFile):
            return self._file(name, value) if isinstance(value, Upload | str) else value
        if _is_file(schema, name):
            return self._recordings(name, value)
        if isinstance(value, Upload):
            raise DataError(f"{name} is a value, and a file was sent", hint=f"send it as text: -F {name}=VALUE")
        check_length(value, self.settings, name)
        return value if takes_text(kind) else _parsed(value)

    def recording(self, name: str, value: Any) -> Audio:
        """An upload or a ``data:`` URL as audio. Raises AudioError, DataError."""
        path = self._file(name, value)
        from amphion_core.audio_files.reading import AudioFile

        with without_folder(path.parent):
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

    def _recordings(self, name: str, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._recordings(name, each) for each in value]
        return value if value is None else self.recording(name, value)

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
        self._count += 1
        place = self.folder / str(self._count)
        place.mkdir()
        path = place / re.sub(r"[^\w.-]", "_", called)[-100:]
        path.write_bytes(content)
        return path


class without_folder:
    """Takes the folder of a request out of the messages of errors, so that they name the client's own file."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = f"{folder}/"

    def __enter__(self) -> None:
        """Nothing is prepared."""

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Change the message of an error of Amphion."""
        if isinstance(error, AmphionError):
            error.message = re.sub(rf"{re.escape(self._folder)}(\d+/)?", "", error.message)
            error.hint = error.hint and re.sub(rf"{re.escape(self._folder)}(\d+/)?", "", error.hint)


def check_length(value: Any, settings: Settings, name: str = "the text") -> None:
    """Raise DataError for a text with more characters than the server takes."""
    if isinstance(value, str) and len(value) > settings.max_text:
        raise DataError(
            f"{name} has {counted(len(value), 'character')}, and this server takes at most {settings.max_text}",
            hint="send it in parts; the server's option --max-text is the limit",
        )


def _is_file(schema: type[BaseConfig], name: str) -> bool:
    """Whether a field holds a recording or the path of a file, by its JSON schema."""
    whole = schema.model_json_schema()
    text = json.dumps(whole["properties"][name])
    text += json.dumps(whole.get("$defs", {})) if '"$ref"' in text else ""
    return any(f'"format": {form}' in text for form in _FILES)


def _parsed(value: Any) -> Any:
    """A text of a form as the value that it states in JSON; other values and texts as they are."""
    if isinstance(value, list):
        return [_parsed(each) for each in value]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(value: Any) -> Any:
    return value.filename if isinstance(value, Upload) else value


def _short(value: Any) -> str:
    return f"the text {shortened(value, 60)!r}" if isinstance(value, str) else f"a {type(value).__name__}"
