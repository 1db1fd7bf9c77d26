"""Read the texts of generated files from a table, and find the file that each text belongs to.

Tables and names are understood as those of corpora are (see `amphion_core.tables` and `amphion_core.datasets`): any
delimiter, with or without a header, ids with a suffix or a folder, accents composed or decomposed.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from amphion_core.datasets.columns import KNOWN, NAMES, guessed_columns, likeness
from amphion_core.datasets.recordings import Recordings
from amphion_core.errors import DataError
from amphion_core.tables import Row, Table, read_table

_NAMED = 5  # ids and files that a message names
_ALIKE = 0.5  # two columns with at least this share of equal words, in half of the rows, are one text written twice
_SAMPLE = 100  # rows that are looked at for this
_TWICE = ("id", "raw", "text")  # a text, and the same text normalised


def read_texts(path: Path) -> dict[str, str]:
    """Read texts by id, from lines ``id|text`` or from a table with or without the columns id (or path) and text.

    A delimiter in a text belongs to the text. Tables of corpora can be given too: of ``id|text|normalised text`` the
    normalised text is used, of ``id|speaker|text`` the text. Raises DataError with the number of the wrong line, and
    for an id that occurs twice with different texts.
    """
    table = read_table(path, names=KNOWN)
    found: dict[str, tuple[int, str]] = {}
    for line, id, text in _by_name(table) if table.header else _by_position(table):
        if not id:
            raise DataError(f"{path} line {line} has no id", hint="write each line as id|text")
        if id in found and found[id][1] != text:
            lines = f"line {found[id][0]} and line {line}"
            raise DataError(f"{path}: {id!r} has different texts in {lines}", hint="give each file one text")
        found[id] = line, text
    if table.problems:
        where, why = table.problems[0]
        raise DataError(f"{path.parent / where}: {why}", hint="correct the line, or remove it")
    if not found:
        raise DataError(f"{path} contains no texts", hint="write a line id|text for each file")
    return {id: text for id, (_, text) in found.items()}


def match_texts(
    generated: Path, made: Mapping[str, Path], texts: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The texts by the names of the generated files ``made``, and a line for each text and file without a partner.

    Of a single file, texts of other files are not reported. Raises DataError if no text belongs to a file.
    """
    root = generated.parent if generated.is_file() else generated
    recordings = Recordings(root)
    recordings.files = sorted(made.values())
    names = {path: name for name, path in made.items()}
    found: dict[str, tuple[str, str]] = {}
    missing: list[str] = []
    unmatched: list[str] = []
    for id, text in texts.items():
        name = _find(recordings, id, names)
        if name is None:
            unmatched.append(id)
        elif name in found and found[name][1] != text:
            missing.append(f"{name}: {id!r} is another text of this file; the text of {found[name][0]!r} is used")
        else:
            found.setdefault(name, (id, text))
    if not found:
        raise DataError(
            f"no text belongs to a file: the ids are {_some(texts)}, the files of {generated} are {_some(made)}",
            hint="begin each line with the name of the file: NAME|text",
        )
    missing += [f"{name}: no text" for name in made if name not in found]
    if not generated.is_file():
        missing += [f"{id}: text without a generated file" for id in unmatched]
    return {name: text for name, (_, text) in found.items()}, missing


def _find(recordings: Recordings, id: str, names: Mapping[Path, str]) -> str | None:
    """The name of the generated file that an id means: by its whole path, or by the end of it."""
    parts = [part for part in re.split(r"[/\\]", id) if part not in ("", ".", "..")]
    for start in range(len(parts)):
        path = recordings.find("/".join(parts[start:]))
        if path is not None and path in names:
            return names[path]
    return None


def _some(names: Mapping[str, object]) -> str:
    shown = [repr(name[:60]) for name in [*names][:_NAMED]]
    return ", ".join(shown) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _by_name(table: Table) -> list[tuple[int, str, str]]:
    """Line, id and text of every row of a table whose columns have names."""
    ids = [name for name in (*NAMES["id"], *NAMES["path"]) if name in table.header]
    texts = [name for name in (*NAMES["normalized"], *NAMES["text"]) if name in table.header]
    if not ids or not texts:
        raise DataError(
            f"{table.path} has no column {'id' if not ids else 'text'}; its columns are {', '.join(table.header)}",
            hint="name the columns id and text in the first line",
        )
    return [
        (line, next((row[name] for name in ids if row[name]), ""), next((row[name] for name in texts if row[name]), ""))
        for line, row in table.records(texts)
    ]


def _by_position(table: Table) -> list[tuple[int, str, str]]:
    """Line, id and text of every row of a table without names: the id is the first cell."""
    for row in table.rows:
        if len(row.cells) < 2:
            mark = {"": "|", "\t": "tab"}.get(table.delimiter, table.delimiter)
            raise DataError(f"{table.path} line {row.line} has no {mark}", hint="write each line as id|text")
    width = table.width
    columns = _columns([row for row in table.rows[:_SAMPLE] if len(row.cells) == width], width)
    return [(row.line, row.cells[0], _text(row, columns)) for row in table.rows]


def _text(row: Row, columns: Sequence[str]) -> str:
    """The text of a row; delimiters that the columns do not explain belong to it."""
    if len(columns) == 2 or len(row.cells) < len(columns):
        return row.joined(1)
    if columns == _TWICE:  # surplus delimiters are in both texts; the cut makes them most alike
        cut = max(range(2, len(row.cells)), key=lambda cut: likeness(row.joined(1, cut), row.joined(cut)))
        return row.joined(cut)
    index = columns.index("text")
    return row.joined(index, len(row.cells) - (len(columns) - index - 1))


def _columns(rows: Sequence[Row], width: int) -> tuple[str, ...]:
    """The meaning of the columns. Three columns are only id and text if nothing shows another meaning."""
    if width < 3:
        return "id", "text"
    columns = guessed_columns(rows, width)
    if "speaker" in columns:
        chosen = "normalized" if "normalized" in columns else "text"
        return tuple("text" if column == chosen else "-" for column in columns)
    second, third = [row.cells[1] for row in rows], [row.cells[2] for row in rows]
    alike = sum(likeness(one, two) >= _ALIKE for one, two in zip(second, third, strict=True))
    if width == 3 and 2 * alike >= len(rows):
        return _TWICE
    labels = not any(re.search(r"\s", cell) for cell in second) and all(re.search(r"\s", cell) for cell in third)
    return ("id", "-", "text") if width == 3 and labels else ("id", "text")
