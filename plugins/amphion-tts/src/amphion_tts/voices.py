"""Stored voices: recordings with their texts, under names that ``--prompt`` takes.

They lie in ``voices`` of ``~/.local/share/amphion`` (below ``XDG_DATA_HOME`` where that is set), or of the folder that
``AMPHION_DATA`` names. A voice is a folder with ``recording.wav`` (mono, as it was recorded) and ``voice.json``. It is
written under another name and renamed, so it is there whole or not at all. Names do not distinguish case.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from amphion_core.audio import Audio
from amphion_core.errors import AmphionError, DataError, nearest, shortened
from amphion_core.files import make_folder, not_written
from amphion_core.requests import Named

VARIABLE = "AMPHION_DATA"
RECORDING, ABOUT = "recording.wav", "voice.json"
STATEMENT = (
    "Imitate a voice only if its speaker has agreed to it, and say of what you publish that it is synthetic. "
    "Imitating a person to deceive others is a crime in many countries."
)
_NAME = re.compile(r"[^\W_][\w-]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class StoredVoice(Audio):
    """The recording of a stored voice (T,), with its name and what is said in it; "" where that is not known.

    ``language`` is the code of the text's language. ``about`` is what else is stored: when and from which file.
    """

    name: str = ""
    text: str = ""
    language: str = "en"
    about: dict[str, Any] | None = None


def folder() -> Path:
    """Where the stored voices are, whether or not there are any. Raises DataError for a user without a home."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser().absolute() / "voices"
    try:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError as error:
        raise DataError("there is no home folder for stored voices", hint=f"export {VARIABLE}=FOLDER") from error
    return home.absolute() / "amphion" / "voices"


def check_name(name: str) -> str:
    """``name`` as it is stored. Raises DataError for what could be a path or an option."""
    if not _NAME.fullmatch(name):
        raise DataError(
            f"{shortened(name, 80)!r} cannot be the name of a voice",
            hint="use letters, digits, - and _, such as: amphion voice add anna recording.wav",
        )
    return name.casefold()


def names() -> list[str]:
    """The names of the stored voices, sorted."""
    with suppress(OSError):  # no folder: no voices
        return sorted(path.name for path in folder().iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
    return []


def add(
    name: str, recording: Audio, *, text: str = "", language: str = "en", is_transcript: bool = False, source: str = ""
) -> StoredVoice:
    """Store a recording, already checked, as the voice ``name``. ``source`` is the file that it comes from.

    Raises DataError for a name that is taken or cannot be one, AmphionError where the folder cannot be written.
    """
    key = check_name(name)
    with _new_folder(key) as target:
        file = recording.mono().save(target / RECORDING)
        about = {
            "name": key, "text": text, "language": language, "is_transcript": is_transcript, "source": source,
            "added": datetime.now(UTC).isoformat(timespec="seconds"), "statement": STATEMENT,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }  # fmt: skip
        (target / ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return load(key)


def load(name: str) -> StoredVoice:
    """The stored voice ``name``. Raises DataError for one that does not exist, was changed or is damaged."""
    key = check_name(name)
    place = folder() / key
    if not place.is_dir():
        close = nearest(key, names())
        hint = f"is it {close}? amphion voice list" if close else f"amphion voice add {key} recording.wav"
        raise DataError(f"there is no stored voice {key!r}", hint=hint)
    try:
        about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        text, language, digest = str(about["text"]), str(about["language"]), about["sha256"]
        data = (place / RECORDING).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(key) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _damaged(key)
    audio = Audio.load(place / RECORDING)
    return StoredVoice(audio.samples, audio.sample_rate, key, text, language, about)


def remove(name: str) -> None:
    """Delete a stored voice. Raises DataError for one that does not exist, AmphionError if it cannot be deleted."""
    key = check_name(name)
    place = folder() / key
    if not place.is_dir():
        load(key)  # raises the error, with the nearest name
    try:
        away = Path(tempfile.mkdtemp(prefix=".removed-", dir=place.parent))
        place.rename(away / key)  # at once, so that no half of a voice can be read
        shutil.rmtree(away)
    except OSError as error:
        raise not_written(error, place) from error


@contextmanager
def _new_folder(key: str) -> Iterator[Path]:
    """A folder that becomes that of the voice when the block ends without an error. Raises DataError: a taken name."""
    place = folder() / key
    taken = DataError(
        f"there is a stored voice {key!r} already", hint=f"choose another name, or first: amphion voice remove {key}"
    )
    if place.exists():
        raise taken
    parent = make_folder(place.parent)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    except OSError as error:
        raise not_written(error, place) from error
    try:
        yield temporary
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        temporary.rename(place)
    except OSError as error:
        raise taken if place.exists() else not_written(error, place) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after success it has been renamed already


def _flush(path: Path) -> None:
    """Write a file or a folder to the disk, so that the voice is whole also after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(key: str) -> AmphionError:
    return DataError(f"the stored voice {key!r} is damaged", hint=f"amphion voice remove {key}, then add it again")


def read_prompt(value: Any) -> Audio:
    """The recording that ``value`` names: an Audio itself, the path of a file, or the name of a stored voice.

    Raises DataError for a name that a file and a voice have, and for one that neither has; AudioError for a file that
    cannot be read; ValueError for a value that names nothing.
    """
    if isinstance(value, Audio):
        return value
    if not isinstance(value, str | Path):
        raise ValueError("a prompt is the path of an audio file, the name of a stored voice, or an Audio")
    if isinstance(value, Path) or not _NAME.fullmatch(value):
        return Audio.load(value)
    is_file, is_voice = Path(value).exists(), value.casefold() in names()
    if is_file and is_voice:
        raise DataError(
            f"{value!r} is a file here and also a stored voice", hint=f"--prompt ./{value} is the file; or rename it"
        )
    if is_file or is_voice:
        return Audio.load(value) if is_file else load(value)
    close = nearest(value.casefold(), names())
    raise DataError(
        f"there is no file and no stored voice {value!r}",
        hint=f"is it {close}? amphion voice list" if close else f"amphion voice add {value} recording.wav",
    )


PromptInput = Annotated[
    Audio,
    PlainValidator(read_prompt),
    WithJsonSchema({"type": "string", "format": "audio-file"}),
    Named("a stored voice", names),
]
"""Annotation of a request's field for a prompt: as `AudioInput`, and the name of a stored voice too.

A server must not hand the text of a client to it: it could name any file of the server.
"""
