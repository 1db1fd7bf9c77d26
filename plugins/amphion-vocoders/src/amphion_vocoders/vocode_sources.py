"""Which files ``amphion vocode`` reads, and which it writes. Everything is checked before anything is written."""

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from amphion_core.audio import Audio
from amphion_core.audio_files import SUFFIXES, AudioFileError, audio_files, check_file
from amphion_core.audio_files.encoding import FORMATS
from amphion_core.errors import AudioError, shortened
from amphion_core.files import check_folder, check_not_overwritten, ignores_case, path_hint

MEL_SUFFIXES = (".npy", ".safetensors")
"""Suffixes of files that may hold a mel."""


def is_mel_file(path: str | Path) -> bool:
    """Whether the suffix, in any case, is one of a file that may hold a mel. Does not look at the disk."""
    return Path(path).suffix.lower() in MEL_SUFFIXES


def pairs(
    source: Path, out: Path, suffix: str | None, *, also: tuple[str, ...] = MEL_SUFFIXES, done: str = "vocoded",
    voice: str | Path | None = None,
) -> tuple[list[tuple[Path, Path]], int]:  # fmt: skip
    """(file to read, file to write), each written file different; and the number of files that cannot be read.

    ``suffix`` such as ``.flac`` is that of files in a folder; None: ``.wav``. Files of a folder keep their names with
    this suffix. ``also`` are suffixes that are read beside those of audio. A file that cannot be read is reported as
    "not ``done``". Raises AudioError when there is nothing to read, and when two files would become one, such as
    ``a.mp3`` and ``a.wav``; AmphionError when a file would overwrite a source or the recording ``voice``, and when the
    output cannot be written.
    """
    skipped: list[Path] = []

    def skip(path: Path, reason: str) -> None:
        skipped.append(path)
        print(f"not {done}: {shortened(path)}: {reason}", file=sys.stderr)

    if source.is_dir():
        found = audio_files(source, on_skip=skip, also=also)
        if not found:
            known = f"known suffixes: {', '.join((*SUFFIXES, *also))}"
            raise AudioError(f"{source} holds no audio file{' and no mel' if also else ''}", hint=known)
        if out.suffix.lower() in SUFFIXES and not out.is_dir():
            raise AudioError(
                f"{source} is a folder, and {out} is the name of an audio file", hint=f"-o {out.with_suffix('')}"
            )
        targets = targets_of([path.relative_to(source) for path in found], out, suffix or ".wav")
        check_folder(out)
    else:
        try:
            check_file(source)
        except AudioFileError as error:
            raise AudioFileError(source, error.reason, hint=path_hint(source, error.hint or "")) from error
        found, targets = [source], [_target(source, out, suffix)]
        Audio.check_target(targets[0])
    into_folder = source.is_dir() or out.is_dir()
    hint = "choose another folder with -o" if into_folder else f"-o {out.with_stem(f'{out.stem}_{done}')}"
    check_not_overwritten(found if voice is None else [*found, voice], targets, hint=hint)
    return list(zip(found, targets, strict=True)), len(skipped)


def targets_of(names: Sequence[Path], out: Path, suffix: str) -> list[Path]:
    """The file in ``out`` for each of the different ``names``. Raises AudioError where two would be one file."""
    same = _as_one_file if ignores_case(out) else str
    targets = [out / name.with_suffix(suffix) for name in names]
    written: dict[str, Path] = {}
    for name, target in zip(names, targets, strict=True):
        if (other := written.setdefault(same(str(target)), name)) != name:
            raise AudioError(
                f"{other} and {name} would become one file, {target}",
                hint="rename one of them, or put them into different folders",
            )
    return targets


def _target(source: Path, out: Path, suffix: str | None) -> Path:
    """The file that one file becomes. Raises AudioError for a suffix that contradicts ``out``."""
    if out.is_dir():
        return out / source.with_suffix(suffix or ".wav").name
    if suffix and out.suffix.lower() != suffix and out.suffix.lower() in FORMATS:
        raise AudioError(f"{out} does not have the format {suffix[1:]}", hint=f"-o {out.with_suffix(suffix)}")
    return out


def _as_one_file(path: str) -> str:
    """A text that is the same for all spellings that a file system without regard to case takes for one file."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
