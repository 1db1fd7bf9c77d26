"""Find the files that belong together: by name in folders, or by the lines of a table. Missing files are reported."""

import os
import unicodedata
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amphion_core import audio_files as files_on_disk
from amphion_core.config import checked_call
from amphion_core.errors import DataError, shortened
from amphion_core.files import is_file, path_hint
from amphion_core.tables import read_table
from amphion_eval.evaluation.texts import match_texts

ROLES = ("reference", "prompt", "resynthesis")
"""The audios that a generated file may be compared with."""

_COLUMNS = ("generated", "id", "system", "text", *ROLES)

Paired = tuple[list["Item"], list[str]]


@dataclass(frozen=True, slots=True)
class Item:
    """One generated file, with the files and the text that it is compared with."""

    id: str
    generated: Path
    reference: Path | None = None
    text: str | None = None
    prompt: Path | None = None
    resynthesis: Path | None = None


@checked_call
def pair_folders(
    generated: Path,
    compared: Mapping[str, Path | None] | None = None,
    texts: Mapping[str, str] | None = None,
    *,
    as_sets: bool = False,
) -> Paired:
    """Pair the files of folders (or two single files) that have the same relative path without suffix.

    ``compared`` maps roles (see ROLES) to folders, ``texts`` maps ids to texts; an id may have a suffix or a folder.
    With ``as_sets`` the folders are compared as wholes, so no file needs a partner. Returns the items, and a line for
    each missing partner.

    Raises DataError for a missing folder, a folder without audio, two files with one name, folders without a common
    name, and texts of which none belongs to a file.
    """
    made = audio_files(generated)
    missing: list[str] = []
    partners: dict[str, dict[str, Path]] = {}
    for role, folder in (compared or {}).items():
        if folder is None:
            continue
        found = audio_files(folder)
        if generated.is_file() and folder.is_file():
            found = dict.fromkeys(made, folder)
        if as_sets:
            partners[role] = found
            continue
        if not made.keys() & found.keys():
            raise DataError(
                f"no file of {generated} has a partner in {folder}",
                hint="partners have the same name without suffix; or list the pairs in a table: --pairs FILE.csv",
            )
        missing += [f"{name}: no {role}" for name in made if name not in found]
        missing += [f"{name}: {role} without a generated file" for name in found if name not in made]
        partners[role] = found
    matched: Mapping[str, str] = {}
    if texts is not None:
        matched, without = match_texts(generated, made, texts)
        missing += without
    items = [
        Item(name, path, text=matched.get(name), **{role: found.get(name) for role, found in partners.items()})
        for name, path in made.items()
    ]
    return items, missing


def read_pairs(path: Path) -> dict[str, Paired]:
    """Read pairs from a csv or tsv file, and return for each system its items and a line for each missing file.

    The column ``generated`` is needed; id, system, text, reference, prompt and resynthesis are optional. Paths are
    relative to the table. Raises DataError with the number of the wrong line.
    """
    systems: dict[str, Paired] = {}
    seen: set[tuple[str, str]] = set()
    table = read_table(path, names=_COLUMNS, header=True)
    if "generated" not in table.header:
        raise DataError(
            f"{path} has no column generated; its columns are {', '.join(table.header)}",
            hint="write the names of the columns into the first line",
        )
    for number, row in table.records({"text"}):
        if not row["generated"]:
            raise DataError(f"{path} line {number} names no generated file", hint="fill in the column generated")
        system = row.get("system") or "generated"
        id = row.get("id") or str(Path(row["generated"]).with_suffix(""))
        if (system, id) in seen:
            raise DataError(f"{path} line {number}: {id!r} occurs twice", hint="give each line a different id")
        seen.add((system, id))
        items, missing = systems.setdefault(system, ([], []))
        named = {role: files_on_disk.find_audio(path.parent / row[role]) for role in ROLES if row.get(role)}
        found = {role: file for role, file in named.items() if is_file(file)}
        missing += [f"{id}: there is no {role} {file}" for role, file in named.items() if role not in found]
        generated = files_on_disk.find_audio(path.parent / row["generated"])
        items.append(Item(id, generated, text=row.get("text") or None, **found))
    if table.problems:
        where, why = table.problems[0]
        raise DataError(f"{path.parent / where}: {why}", hint="correct the line, or remove it")
    if not systems:
        raise DataError(f"{path} has a header but no lines", hint="add a line for each generated file")
    return systems


def audio_files(folder: Path) -> dict[str, Path]:
    """The audio files in ``folder`` by relative path without suffix; for a path of one file, that file by its stem.

    Accents in the names are composed, because file systems differ in this.

    Raises DataError for a missing folder, a folder without audio, and two files with one name.
    """
    if is_file(folder):
        return {unicodedata.normalize("NFC", folder.stem): folder}
    if not os.path.isdir(folder):  # noqa: PTH112 - unlike Path, it takes names that no file can have
        try:
            files_on_disk.check_file(folder)
        except files_on_disk.AudioFileError as error:
            missing = f"there is no file or folder {shortened(folder)}"
            message = missing if error.reason == files_on_disk.MISSING else error.message
            hint = path_hint(folder, "give an audio file, or a folder of them")
            raise DataError(message, hint=hint) from error
    found: dict[str, Path] = {}
    skipped: dict[Path, str] = {}
    for path in files_on_disk.audio_files(folder, skipped.__setitem__):
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise DataError(
                f"{found[name]} and {path} have the same name",
                hint="rename one of them",
            )
        found[name] = path
    if skipped:
        path, reason = next(iter(skipped.items()))
        shown = f"{path} cannot be read: {reason}"
        if len(skipped) > 1:
            shown = f"{len(skipped)} entries of {folder} cannot be read; the first: {path.name}, {reason}"
        if not found:
            raise DataError(shown, hint="convert the files, or give another folder")
        warnings.warn(shown, stacklevel=1)  # one place, so that Python shows it once for each folder
    if not found:
        raise DataError(f"{folder} contains no audio file", hint=f"known suffixes: {', '.join(files_on_disk.SUFFIXES)}")
    return found
