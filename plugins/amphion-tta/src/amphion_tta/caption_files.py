"""Files of captions: one in each line, or a table with the columns id and caption."""

from dataclasses import dataclass
from pathlib import Path

from amphion_core.errors import DataError
from amphion_core.tables import read_lines, read_table

NAMES = ("id", "caption", "text")
SHOWN = 5  # problems that an error lists
_BAD = set('/\\:*?"<>|\0')


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption: where it stands, the name of its audio file without suffix, and the text."""

    where: str
    name: str
    text: str


def read_captions(file: Path) -> list[Caption]:
    """The captions of a file, in its order. Raises DataError that lists the lines that cannot be used.

    A file whose name ends in .csv or .tsv is a table. Its first line names the columns: caption, or text, as for
    ``amphion eval --text``; and maybe id. In any other file each line is a caption. A sound is named by the id, else by
    the number of its line.
    """
    if file.suffix.lower() in (".csv", ".tsv"):
        found, problems = _rows(file)
    else:
        found, problems = [Caption(f"line {number}", f"{number:04}", text) for number, text in read_lines(file)], []
    names: dict[str, str] = {}
    for caption in found:
        if not caption.text.strip():
            problems.append(f"{caption.where}: the caption is empty")
        if not caption.name or set(caption.name) & _BAD or caption.name in (".", "..") or len(caption.name) > 200:
            problems.append(f"{caption.where}: the id {caption.name[:40]!r} cannot be the name of a file")
        elif (other := names.setdefault(caption.name.casefold(), caption.where)) != caption.where:
            problems.append(f"{caption.where}: the id {caption.name!r} is also that of {other}")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DataError(
            f"{file} cannot be read as captions: {'; '.join(problems[:SHOWN])}{more}", hint="correct these lines"
        )
    if not found:
        raise DataError(f"{file} has no captions", hint="write one caption in each line, or a csv with id,caption")
    return found


def _rows(file: Path) -> tuple[list[Caption], list[str]]:
    table = read_table(file, names=NAMES)
    problems = [f"{where}: {why}" for where, why in table.problems]
    if column := next((name for name in ("caption", "text") if name in table.header), ""):
        rows = [
            Caption(f"line {number}", cells.get("id") or f"{number:04}", cells[column])
            for number, cells in table.records(texts=(column,))
        ]
        return rows, [*problems, *(f"{where}: {why}" for where, why in table.problems[len(problems) :])]
    if table.header or table.width != 1:
        raise DataError(
            f"{file} has no column called caption", hint="name the columns in the first line, such as id,caption"
        )
    return [Caption(f"line {row.line}", f"{row.line:04}", row.joined(0)) for row in table.rows], problems
