"""The voices that are made with the page: a folder for each, with recordings, texts, prepared data and runs.

::

    voices/anna/
        voice.json            the language of the recordings
        recordings/           a.wav with its text a.txt, and .a.heard, what the recogniser heard
        prepared/             what ``amphion prepare`` wrote
        runs/                 what ``amphion train`` wrote
        work/                 the last command of each step, its output, and how it ended

The page reads everything from here, so that a closed page and a restarted server lose nothing.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from amphion_core.audio import Audio
from amphion_core.audio_files import is_audio
from amphion_core.data.transcripts import read_heard, read_text, recordings_in, text_file, write_text
from amphion_core.demo.cutting import LONGEST, cut_at_pauses
from amphion_core.errors import AmphionError, AudioError, DataError, shortened
from amphion_core.files import atomic_write, make_folder, not_written

MOST_RECORDINGS = 1000
MOST_BYTES = 2_000_000_000  # of all recordings of a voice
LEAST_RECORDINGS = 3  # so that one is left for the validation
LEAST_SECONDS = 5.0  # of recordings with a text, below which nothing can be learned
GOOD_SECONDS = 120.0
SHORTEST = 0.5  # seconds of a recording
SILENT = 1e-3  # peak below which a recording is silent: -60 dB, as in ``amphion prepare``
LONGEST_TEXT = 1000  # characters of a recording of at most 30 seconds
_NAME = re.compile(r"[^\W_][\w-]{0,63}")


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: its file, its duration in seconds, its text, and what a recogniser heard in it."""

    path: Path
    seconds: float
    text: str
    heard: str

    @property
    def name(self) -> str:
        """The name of the file without its suffix."""
        return self.path.stem

    @property
    def origin(self) -> str:
        """Where the text comes from, for the table."""
        if not self.text:
            return "no text yet"
        return "heard by the recogniser" if self.text == self.heard else "written by you"


class Voices:
    """All voices below the folder ``root``, which is made with the first one."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def names(self) -> list[str]:
        """The names of the voices; the one that was changed last is the first."""
        try:
            found = [path for path in self.root.iterdir() if _NAME.fullmatch(path.name) and (path / ABOUT).is_file()]
        except OSError:  # there are none yet
            return []
        return [path.name for path in sorted(found, key=_changed, reverse=True)]

    def create(self, name: str, language: str = "en") -> "Voice":
        """A new voice. Raises DataError for a name that is taken or cannot be one, AmphionError for a full disk."""
        place = self.root / _checked_name(name)
        if place.exists():
            raise DataError(f"there is a voice {place.name!r} already", hint="choose it in the list, or another name")
        make_folder(place / "recordings")
        voice = Voice(place)
        voice.set_language(language)
        return voice

    def open(self, name: str) -> "Voice":
        """The voice ``name``. Raises DataError for one that does not exist."""
        place = self.root / _checked_name(name)
        if not (place / ABOUT).is_file():
            raise DataError(f"there is no voice {place.name!r}", hint="choose one of the list, or make a new one")
        return Voice(place)


ABOUT = "voice.json"


def _checked_name(name: str) -> str:
    name = str(name or "").strip()
    if not name:
        raise DataError("the voice has no name", hint="type a name, such as anna")
    if not _NAME.fullmatch(name):
        raise DataError(
            f"{shortened(name, 80)!r} cannot be the name of a voice", hint="use letters, digits, - and _, such as anna"
        )
    return name.casefold()


def _changed(place: Path) -> int:
    """When something in the folder of a voice was changed last."""
    return max(_time(path) for path in (place / ABOUT, *(place / name for name in ("recordings", "work", "prepared"))))


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class Voice:
    """The folder of one voice."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.audio = path / "recordings"
        self.prepared = path / "prepared"
        self.runs = path / "runs"
        self.work = path / "work"

    @property
    def language(self) -> str:
        """The language code of the recordings."""
        about = read_json(self.path / ABOUT)
        return str(about.get("language") or "en")

    def set_language(self, language: str) -> None:
        """Store the language code. Raises DataError for what is none."""
        code = language.strip().casefold()
        if not re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{2,8})?", code):
            raise DataError(f"{shortened(language, 40)!r} is no language code", hint="type a code such as en or de")
        write_json(self.path / ABOUT, {"language": code})

    def recordings(self) -> list[Recording]:
        """All recordings, sorted by name."""
        try:
            found = recordings_in(self.audio)
        except OSError:
            return []
        return [
            Recording(path, _seconds(path, _time(path)), read_text(path), read_heard(path))
            for path in sorted(found, key=lambda path: path.stem)
        ]

    def recording(self, name: str) -> Recording:
        """The recording ``name``. Raises DataError for one that does not exist."""
        for one in self.recordings():
            if one.name == name:
                return one
        raise DataError(f"there is no recording {shortened(name, 80)!r}", hint="choose one of the table")

    def add(self, files: Iterable[str | Path], *, text: str = "", name: str = "") -> list[str]:
        """Copy recordings into the folder, each whole or not at all; returns a sentence for each that was refused.

        A recording of more than ``LONGEST`` seconds is cut at its pauses. ``text`` is what is said in the only
        file, and ``name`` replaces the name of the file.
        Raises AmphionError where nothing can be written, such as on a full disk.
        """
        refused = []
        for file in files:
            try:
                self._add_one(Path(file), text, name)
            except (AudioError, DataError) as error:
                reason = error.message.replace(str(file), Path(file).name)
                refused.append(f"{reason} ({error.hint})" if error.hint else reason)
        return refused

    def _add_one(self, file: Path, text: str, name: str) -> None:
        known = self.recordings()
        size = file.stat().st_size
        if len(known) >= MOST_RECORDINGS or sum(one.path.stat().st_size for one in known) + size > MOST_BYTES:
            raise DataError(
                f"{file.name} is too much: a voice has at most {MOST_RECORDINGS} recordings and "
                f"{MOST_BYTES // 10**9} GB",
                hint="train with these",
            )
        if not is_audio(file):
            raise AudioError(f"{file.name} is no audio file", hint="upload WAV, FLAC or MP3")
        audio = Audio.load(file)
        check_recording(audio, file.name)
        make_folder(self.audio)
        stem = re.sub(r"[^\w-]+", "-", name or file.stem).strip("-_")[:60] or "recording"
        if audio.duration > LONGEST and text.strip():
            raise DataError(
                f"the recording lasts {audio.duration:.0f} seconds, and one with its text may have {LONGEST:g}",
                hint="read one sentence at a time",
            )
        if audio.duration > LONGEST:
            pieces = cut_at_pauses(audio)
            taken = self._free(stem, len(pieces))
            for free, piece in zip(taken, pieces, strict=True):
                piece.save(self.audio / f"{free}.wav")
            return
        target = self.audio / f"{self._free(stem)[0]}{file.suffix.lower()}"
        if text.strip():  # first, so that nobody transcribes a recording whose text is known
            write_text(target, checked_text(text))
        with atomic_write(target) as temporary:
            shutil.copyfile(file, temporary)

    def _free(self, stem: str, count: int = 1) -> list[str]:
        """``count`` names of recordings that do not exist yet; several, or a taken one, get numbers."""
        taken = {path.name.partition(".")[0] for path in self.audio.iterdir()}
        if count == 1 and stem not in taken:
            return [stem]
        found: list[str] = []
        number = 1
        while len(found) < count:
            if (name := f"{stem}-{number:02d}") not in taken:
                found.append(name)
            number += 1
        return found

    def set_text(self, name: str, text: str) -> None:
        """Write the text of a recording to the disk. Raises DataError for a text that is too long."""
        write_text(self.recording(name).path, checked_text(text))

    def remove(self, name: str) -> None:
        """Delete a recording and its text. Raises AmphionError where that is not allowed."""
        path = self.recording(name).path
        try:
            for each in (path, text_file(path), path.with_name(f".{path.stem}.heard")):
                each.unlink(missing_ok=True)
        except OSError as error:
            raise not_written(error, path) from error

    def check_texts(self) -> None:
        """Raise DataError unless there are enough recordings with a text."""
        known = self.recordings()
        if not known:
            raise DataError("there are no recordings", hint="upload some, or record with the microphone")
        spoken = [one for one in known if one.text]
        if not spoken:
            raise DataError("no recording has a text", hint="transcribe them, or write the texts into the table")
        seconds = sum(one.seconds for one in spoken)
        if len(spoken) < LEAST_RECORDINGS:
            raise DataError(
                f"there are {len(spoken)} recordings with a text, and at least {LEAST_RECORDINGS} are needed",
                hint="record more sentences",
            )
        if seconds < LEAST_SECONDS:
            raise DataError(
                f"there are {seconds:.1f} seconds of speech with a text, and at least {LEAST_SECONDS:g} are needed",
                hint="record more sentences",
            )


def digest_of(recordings: Iterable[Recording]) -> str:
    """A checksum of recordings and their texts: another one means that they have to be prepared again."""
    facts = []
    for one in recordings:
        found = one.path.stat()
        facts.append([one.path.name, found.st_size, found.st_mtime_ns, one.text])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def check_recording(audio: Audio, name: str) -> None:
    """Raise AudioError for a recording that is too short or has no sound."""
    import numpy as np

    if audio.duration < SHORTEST:
        raise AudioError(f"{name} has {audio.duration:.2f} seconds", hint="record a whole sentence")
    if not np.isfinite(audio.samples).all():
        raise AudioError(f"{name} has samples that are not finite (NaN or infinite)", hint="record it again")
    if audio.peak < SILENT:
        raise AudioError(f"{name} is silent", hint="check the microphone and record it again")


def checked_text(text: str) -> str:
    """``text`` in one line. Raises DataError for one that no recording of a sentence can have."""
    text = " ".join(str(text or "").split())
    if len(text) > LONGEST_TEXT:
        raise DataError(
            f"the text has {len(text)} characters, and a recording may have {LONGEST_TEXT}",
            hint="one sentence belongs to one recording",
        )
    return text


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty for a file that is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write an object to a file. Raises AmphionError where it cannot be written."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@lru_cache(maxsize=4 * MOST_RECORDINGS)
def _seconds(path: Path, changed: int) -> float:
    """The duration of an audio file; ``changed`` is when it was written."""
    from amphion_core.datasets.layout import seconds

    try:
        return seconds(path)
    except (AmphionError, OSError):
        return 0.0
