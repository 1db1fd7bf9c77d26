"""Find the files that belong together: by name in folders, or by the lines of a table. Missing files are reported."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amphion_core import audio_files as files_on_disk
from amphion_core.errors import DataError

ROLES = ("reference", "prompt", "resynthesis")
"""The audios that a generated file may be compared with."""

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


def pair_folders(
    generated: Path,
    compared: Mapping[str, Path | None] | None = None,
    texts: Mapping[str, str] | None = None,
    *,
    as_sets: bool = False,
) -> Paired:
    """Pair the files of folders (or two single files) that have the same relative path without suffix.

    ``compared`` maps roles (see ROLES) to folders, ``texts`` maps names to texts. With ``as_sets`` the folders are
    compared as wholes, so no file needs a partner. Returns the items, and a line for each missing partner.

    Raises DataError for a missing folder, a folder without audio, two files with one name, folders without a common
    name.
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
    if texts is not None:
        missing += [f"{name}: no text" for name in made if name not in texts]
        missing += [f"{name}: text without a generated file" for name in texts if name not in made]
    items = [
        Item(name, path, text=(texts or {}).get(name), **{role: found.get(name) for role, found in partners.items()})
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
    for number, row in enumerate(_rows(path, {"generated"}), 2):
        if not row["generated"]:
            raise DataError(f"{path} line {number} names no generated file", hint="fill in the column generated")
        system = row.get("system") or "generated"
        id = row.get("id") or str(Path(row["generated"]).with_suffix(""))
        if (system, id) in seen:
            raise DataError(f"{path} line {number}: {id!r} occurs twice", hint="give each line a different id")
        seen.add((system, id))
        items, missing = systems.setdefault(system, ([], []))
        named = {role: path.parent / row[role] for role in ROLES if row.get(role)}
        missing += [f"{id}: there is no {role} {file}" for role, file in named.items() if not file.is_file()]
        found = {role: file for role, file in named.items() if file.is_file()}
        items.append(Item(id, path.parent / row["generated"], text=row.get("text") or None, **found))
    if not systems:
        raise DataError(f"{path} has a header but no lines", hint="add a line for each generated file")
    return systems


def read_texts(path: Path) -> dict[str, str]:
    """Read texts by id, from lines ``id|text`` or from a csv or tsv file with the columns id and text.

    Of a line with several ``|`` the last part is the text. Raises DataError with the number of the wrong line.
    """
    lines = _text(path).splitlines()
    if path.suffix in (".csv", ".tsv") and lines and "|" not in lines[0]:
        return {row["id"]: row["text"] for row in _rows(path, {"id", "text"})}
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, separator, text = line.partition("|")
        if line.strip() and not separator:
            raise DataError(f"{path} line {number} has no |", hint="write each line as id|text")
        if line.strip():
            texts[name.strip()] = text.rpartition("|")[2].strip()
    return texts


def audio_files(folder: Path) -> dict[str, Path]:
    """The audio files in ``folder`` by relative path without suffix; for a path of one file, that file by its stem.

    Raises DataError for a missing folder, a folder without audio, and two files with one name.
    """
    if folder.is_file():
        return {folder.stem: folder}
    if not folder.is_dir():
        raise DataError(f"there is no file or folder {folder}", hint="give a folder of audio files")
    found: dict[str, Path] = {}
    for path in files_on_disk.audio_files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DataError(
                f"{found[name]} and {path} have the same name",
                hint="rename one of them",
            )
        found[name] = path
    if not found:
        raise DataError(f"{folder} contains no audio file", hint=f"known suffixes: {', '.join(files_on_disk.SUFFIXES)}")
    return found


def _rows(path: Path, columns: set[str]) -> Sequence[dict[str, str]]:
    rows = csv.DictReader(_text(path).splitlines(), delimiter="\t" if path.suffix == ".tsv" else ",")
    if not columns <= set(rows.fieldnames or ()):
        raise DataError(
            f"{path} has no column{'s' * (len(columns) > 1)} {' and '.join(sorted(columns))}",
            hint="write the names of the columns into the first line",
        )
    return [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in rows]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
