"""Audio files on disk: the known suffixes, the files of a folder, and what a name in a table means.

Everything that looks for audio uses this module, so that all commands agree on what an audio file is. It imports
neither torch nor numpy, and opens nothing that is not a regular file.
"""

import errno
import os
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from amphion_core.errors import AudioError, shortened
from amphion_core.files import irregular, is_file

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".mp3", ".opus", ".oga", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
    ".wave", ".mp2", ".sph", ".nist",
)  # fmt: skip
"""Suffixes of the audio files that can be read, the more usual first. Compare them without regard to case."""

HIGHEST_RATE = 768_000
"""Hz. Audio with a higher rate is refused everywhere."""

UNREADABLE = {
    ".m4a": "AAC", ".aac": "AAC", ".m4b": "AAC", ".mp4": "MPEG-4", ".3gp": "3GPP", ".wma": "Windows Media Audio",
    ".webm": "WebM", ".mka": "Matroska", ".amr": "AMR", ".ape": "Monkey's Audio", ".wv": "WavPack", ".spx": "Speex",
    ".ac3": "AC-3", ".dts": "DTS", ".dsf": "DSD", ".tta": "True Audio", ".mpc": "Musepack", ".ra": "RealAudio",
}  # fmt: skip
"""Suffixes of audio formats that cannot be read, each with the format's name."""

MISSING = "there is no such file"
"""The reason of an AudioFileError for a path where nothing is."""

_ERRORS = {
    errno.ENOENT: MISSING, errno.ENOTDIR: MISSING,
    errno.ENAMETOOLONG: "the name is too long", errno.ELOOP: "it is a link that leads to itself",
}  # fmt: skip


class AudioFileError(AudioError):
    """An audio file cannot be used. ``reason`` says why without naming the file, so that reports can count reasons."""

    def __init__(self, path: str | Path, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{shortened(path)} cannot be read: {reason}", hint=hint)
        self.path, self.reason, self._hint = path, reason, hint

    def __reduce__(self) -> tuple[Callable[..., "AudioFileError"], tuple[str | Path, str, str | None]]:
        return _audio_file_error, (self.path, self.reason, self._hint)  # worker processes send it to their parent


def _audio_file_error(path: str | Path, reason: str, hint: str | None) -> AudioFileError:
    return AudioFileError(path, reason, hint=hint)


def is_audio(path: str | Path) -> bool:
    """Whether the suffix, in any case, is one of an audio file that can be read. Does not look at the disk."""
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122 - called for every file of a corpus


def why_unreadable(path: str | Path) -> str | None:
    """Why a file with this suffix cannot be read although it is audio; None for every other suffix."""
    form = UNREADABLE.get(suffix := os.path.splitext(path)[1].lower())  # noqa: PTH122 - called for every file
    return form and f"{form} ({suffix}) cannot be read; convert it: ffmpeg -i FILE FILE.flac"


def check_file(path: str | Path) -> os.stat_result:
    """The status of a regular file that has content. Links are followed; nothing is opened.

    Raises AudioFileError for a path that is missing, too long, not permitted, a folder, pipe, device or socket, and
    for a file of 0 bytes.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - faster than Path, and there are many
    except OSError as error:
        reason = _ERRORS.get(error.errno or 0) or error.strerror or str(error)
        raise AudioFileError(path, reason, hint="check the path and its permissions") from error
    except ValueError as error:  # a character that no path can have
        raise AudioFileError(path, "no file can have such a name", hint="check the path") from error
    if what := irregular(found.st_mode):
        raise AudioFileError(path, f"it is {what}, not a file", hint="name an audio file")
    if not found.st_size:
        raise AudioFileError(path, "it is empty (0 bytes)", hint="copy or record it again")
    return found


def audio_files(
    folder: str | Path, on_skip: Callable[[Path, str], None] | None = None, *, also: Sequence[str] = ()
) -> list[Path]:
    """Every audio file below ``folder``, sorted by path, without hidden files and folders.

    Links to folders are followed, unless they lead to a folder that contains the link. Files are chosen by suffix
    alone, so that whoever reads them reports those that are not audio. ``on_skip`` is called with the path and the
    reason for everything that is left out: audio in a format that cannot be read, a name that is not UTF-8, a folder
    that cannot be opened. Without it, a folder that cannot be opened raises AudioFileError. Files with a suffix of
    ``also``, in lower case, are listed as audio is.
    """
    on_skip_folder = on_skip or _refuse
    found: list[Path] = []
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(os.fspath(folder), frozenset())]
    while waiting:
        path, above = waiting.pop()
        try:
            status = os.stat(path)  # noqa: PTH116
            with os.scandir(path) as entries:
                listed = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            on_skip_folder(Path(path), f"the folder cannot be opened: {error.strerror or error}")
            continue
        if (identity := (status.st_dev, status.st_ino)) in above:
            continue
        for entry in listed:
            if _is_folder(entry):
                waiting.append((entry.path, above | {identity}))
            elif (reason := _why_left_out(entry.name)) is not None:
                if on_skip is not None:
                    on_skip(Path(entry.path), reason)
            elif is_audio(entry.name) or (also and Path(entry.name).suffix.lower() in also):
                found.append(Path(entry.path))
    return sorted(found)


def find_audio(name: str | Path) -> Path:
    """The audio file that a table means by ``name``: a path with or without suffix.

    If there is no such file, other spellings are tried: any suffix, in any case, and accents composed or decomposed,
    as file systems differ in this. If none exists, the result is ``name`` itself, with .wav if it has no audio suffix.
    """
    name = Path(name)
    audio = is_audio(name)
    if audio and is_file(name):
        return name
    parent = _spelled(name.parent)
    for stem in (name.name, name.stem) if audio else (name.name,):
        if names := _recordings(parent).get(unicodedata.normalize("NFC", stem)):
            exact = [each for each in names if each.startswith(stem)]
            return parent / (exact or names)[0]
    return name if audio else name.with_name(name.name + ".wav")


def _refuse(path: Path, reason: str) -> None:
    raise AudioFileError(path, reason, hint=f"chmod u+rX {path}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link that leads to itself
        return False


def _why_left_out(name: str) -> str | None:
    """The reason to leave out an entry of a folder that looks like audio; None for all others."""
    if (reason := why_unreadable(name)) is not None:
        return reason
    if is_audio(name):
        try:
            name.encode()
        except UnicodeEncodeError:
            return "its name is not UTF-8; rename it"
    return None


def _recordings(folder: Path) -> dict[str, list[str]]:
    """The audio files of a folder by their composed name without suffix, the most usual suffix first."""
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
        return _listed(str(folder), changed)
    except (OSError, ValueError):
        return {}


@lru_cache(maxsize=64)
def _listed(folder: str, changed: int) -> dict[str, list[str]]:
    """What `_recordings` returns for a folder that was changed at this time. Raises OSError."""
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):  # noqa: PTH208
        if is_audio(name):
            found.setdefault(unicodedata.normalize("NFC", name.rpartition(".")[0]), []).append(name)
    for names in found.values():
        names.sort(key=lambda name: SUFFIXES.index(f".{name.rpartition('.')[2].lower()}"))
    return found


def _spelled(folder: Path) -> Path:
    """The existing folder whose path is ``folder`` with accents composed or decomposed; else ``folder`` itself."""
    if str(folder).isascii() or os.path.isdir(folder):  # noqa: PTH112
        return folder
    parent = _spelled(folder.parent)
    try:
        wanted = unicodedata.normalize("NFC", folder.name)
        names = (name for name in sorted(os.listdir(parent)) if unicodedata.normalize("NFC", name) == wanted)  # noqa: PTH208
        return parent / next(names, folder.name)
    except (OSError, ValueError):
        return folder
