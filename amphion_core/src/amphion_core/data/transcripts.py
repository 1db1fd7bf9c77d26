"""Writes what is said in recordings: ``a.txt`` beside ``a.wav``, where the reader ``folder`` finds it.

Each text is in a separate file, written completely or not at all. So several programs may write texts of the same
folder, and an interruption loses nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amphion_core import registry
from amphion_core.audio import Audio
from amphion_core.audio_files import SUFFIXES, is_audio
from amphion_core.component import SpeechRecognizer
from amphion_core.errors import AmphionError, DataError
from amphion_core.files import atomic_write, path_hint
from amphion_core.parts import RecognizerPart


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was done with one recording.

    ``problem`` says why it has no text; ``is_new`` is False if it had one before.
    """

    path: Path
    text: str = ""
    is_new: bool = True
    problem: str = ""


def text_file(recording: Path) -> Path:
    """Where the text of a recording is."""
    return recording.with_suffix(".txt")


def read_text(recording: Path) -> str:
    """The text of a recording in one line; empty where there is none."""
    return _line(text_file(recording))


def read_heard(recording: Path) -> str:
    """What a recogniser heard in a recording, also where the text was corrected since; empty where there is none."""
    return _line(_heard_file(recording))


def _heard_file(recording: Path) -> Path:
    return recording.with_name(f".{recording.stem}.heard")  # hidden, so that no reader takes it for a text


def _line(path: Path) -> str:
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return ""


def write_text(recording: Path, text: str) -> None:
    """Write the text of a recording in one line. Raises AmphionError where it cannot be written."""
    with atomic_write(text_file(recording)) as temporary:
        temporary.write_text(" ".join(text.split()) + "\n", encoding="utf-8")


def recordings(folder: str | Path) -> list[Path]:
    """The audio files of ``folder`` itself, sorted by name. Raises DataError for a folder without any."""
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}", hint=path_hint(root))
    if not (found := recordings_in(root)):
        raise DataError(f"{root} contains no audio files", hint=f"known suffixes: {', '.join(SUFFIXES)}")
    return found


def recordings_in(folder: Path) -> list[Path]:
    """The audio files of ``folder`` itself, sorted by name; hidden ones are left out."""
    return sorted(path for path in folder.iterdir() if is_audio(path) and not path.name.startswith("."))


def open_recognizer(name: str | None = None) -> SpeechRecognizer:
    """The recogniser ``name``, or the first installed one whose packages are there.

    Raises UnknownComponent where none is installed, MissingPackage where its packages are not.
    """
    if name is None:
        known = registry.refs("recognizers")
        if not known:
            registry.find("recognizers", "any")  # raises the error that says what to install
        name = next((ref.name for ref in known if ref.status == "ok"), known[0].name)
    found: SpeechRecognizer = RecognizerPart.named(name).build()
    return found


def transcribe(
    folder: str | Path, recognizer: SpeechRecognizer, *, language: str = "en", again: bool = False
) -> Iterator[Transcript]:
    """Write the text of every recording in ``folder`` that has none; with ``again``, of all of them.

    Yields each recording when it is done. A recording that cannot be read, or in which nobody speaks, gets no text.
    Raises DataError for a folder without recordings, and for a language that the recogniser does not know.
    """
    for path in recordings(folder):
        if not again and (text := read_text(path)):
            yield Transcript(path, text, is_new=False)
            continue
        try:
            audio = Audio.load(path).mono().resample(recognizer.sample_rate)
        except AmphionError as error:
            yield Transcript(path, problem=error.message)
            continue
        text = " ".join(recognizer.transcribe(audio, language).split())
        if not text:
            yield Transcript(path, problem=f"{path.name}: the recogniser hears no words")
            continue
        with atomic_write(_heard_file(path)) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        write_text(path, text)
        yield Transcript(path, text)
