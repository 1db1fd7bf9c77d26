"""Which files are compared with which: by name in folders, or by the lines of a table. Nothing is dropped silently."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amphion_core.errors import DataError

AUDIO = frozenset({".wav", ".flac", ".ogg", ".mp3"})
ROLES = ("reference", "prompt", "resynthesis")
"""The audios that a generated file may be compared with."""

Paired = tuple[list["Item"], list[str]]


@dataclass(frozen=True, slots=True)
class Item:
    """One generated file, and what it is compared with."""

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
    """Files of folders (or single files) by their relative path without suffix, and a line for each missing partner.

    ``compared`` gives a folder for each of ROLES that there is; ``as_sets``, none of its files needs a partner.

    Raises DataError: no such folder, no audio in it, two files of one name, nothing in common.
    """
    made = audio_files(generated)
    missing: list[str] = []
    partners: dict[str, dict[str, Path]] = {}
    for role, place in (compared or {}).items():
        if place is None:
            continue
        found = audio_files(place)
        if generated.is_file() and place.is_file():
            found = dict.fromkeys(made, place)
        if as_sets:
            partners[role] = found
            continue
        if not made.keys() & found.keys():
            raise DataError(
                f"no file of {generated} has a partner in {place}",
                hint="partners share their name without suffix; --pairs FILE.csv names them one by one",
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
    """A csv or tsv with a column ``generated``, and any of id, system, text, reference, prompt, resynthesis.

    Paths are relative to the table. -> system -> its items, and lines for partners that are named but do not exist.
    Raises DataError with the line.
    """
    systems: dict[str, Paired] = {}
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(_rows(path, {"generated"}), 2):
        if not row["generated"]:
            raise DataError(f"{path} line {number} names no generated file", hint="each line needs one")
        system = row.get("system") or "generated"
        id = row.get("id") or str(Path(row["generated"]).with_suffix(""))
        if (system, id) in seen:
            raise DataError(f"{path} line {number}: {id!r} stands there twice", hint="give each line an id of its own")
        seen.add((system, id))
        items, missing = systems.setdefault(system, ([], []))
        named = {role: path.parent / row[role] for role in ROLES if row.get(role)}
        missing += [f"{id}: there is no {role} {file}" for role, file in named.items() if not file.is_file()]
        there = {role: file for role, file in named.items() if file.is_file()}
        items.append(Item(id, path.parent / row["generated"], text=row.get("text") or None, **there))
    if not systems:
        raise DataError(f"{path} has no line but its header")
    return systems


def read_texts(path: Path) -> dict[str, str]:
    """id -> text of a file of ``id|text`` lines, or a csv or tsv with a header. Raises DataError with the line."""
    lines = _text(path).splitlines()
    if path.suffix in (".csv", ".tsv") and lines and "|" not in lines[0]:
        return {row["id"]: row["text"] for row in _rows(path, {"id", "text"})}
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, bar, text = line.partition("|")
        if line.strip() and not bar:
            raise DataError(f"{path} line {number} has no |", hint="each line is id|text")
        if line.strip():
            texts[name.strip()] = text.rpartition("|")[2].strip()
    return texts


def audio_files(place: Path) -> dict[str, Path]:
    """The audio files of a folder by relative path without suffix; a single file by its stem. Raises DataError."""
    if place.is_file():
        return {place.stem: place}
    if not place.is_dir():
        raise DataError(f"there is no file or folder {place}", hint="give a folder of audio files")
    found: dict[str, Path] = {}
    for path in sorted(place.rglob("*")):
        if path.suffix.lower() not in AUDIO or not path.is_file():
            continue
        name = path.relative_to(place).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{found[name]} and {path} have one name", hint="remove one of them: suffixes do not count")
        found[name] = path
    if not found:
        raise DataError(f"{place} holds no audio file", hint=f"known suffixes: {', '.join(sorted(AUDIO))}")
    return found


def _rows(path: Path, columns: set[str]) -> Sequence[dict[str, str]]:
    rows = csv.DictReader(_text(path).splitlines(), delimiter="\t" if path.suffix == ".tsv" else ",")
    if not columns <= set(rows.fieldnames or ()):
        raise DataError(
            f"{path} has no column{'s' * (len(columns) > 1)} {' and '.join(sorted(columns))}",
            hint="its first line is the header",
        )
    return [{key: (value or "").strip() for key, value in row.items() if isinstance(key, str)} for row in rows]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
