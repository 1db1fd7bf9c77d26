"""The texts that ``amphion tts`` speaks: one argument, a file, standard input, or a file of many texts."""

import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from amphion_core.errors import DataError, counted
from amphion_core.files import is_file
from amphion_core.tables import decode, read_lines, read_table, read_text

EXAMPLE = 'amphion tts "Any sentence you like."'
NAMES = ("id", "text", "speaker", "prompt", "prompt_text")  # columns of a table
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a file of many: where it stands, the name of its audio file without suffix, and its voice.

    ``prompt`` is the path of a recording, from the working folder, or the name of a stored voice.
    """

    where: str
    name: str
    text: str
    speaker: str = ""
    prompt: str = ""
    prompt_text: str = ""


def one_text(argument: str | None, file: Path | None) -> str:
    """The text of the argument, of standard input ("-") or of the file.

    Raises DataError unless exactly one is given, and for what is no text.
    """
    if (argument is None) == (file is None):
        problem = "no text is given" if argument is None else "a text and --file are given, and only one can be spoken"
        raise DataError(problem, hint=f"{EXAMPLE}, or amphion tts --file chapter.txt")
    if file is not None:
        text = read_text(file)
    elif argument == "-":
        text = decode(sys.stdin.buffer.read(), "standard input", "... | iconv -f {encoding} -t UTF-8 | amphion tts -")
    else:
        text = str(argument)
    check_text(text)
    if not text.strip():
        raise DataError("the text is empty", hint=EXAMPLE)
    return text


def check_text(text: str) -> None:
    """Raise DataError for a text with a NUL character, or with bytes that are not UTF-8 (lone surrogates in Python)."""
    if found := _NOT_TEXT.search(text):
        nul = found[0] == "\0"
        what = "a NUL character" if nul else "a byte that is not UTF-8"
        raise DataError(
            f"the text has {what} at character {found.start() + 1}",
            hint="tr -d '\\000' < FILE > NEW"
            if nul
            else "write the text in UTF-8, for example from a file: --file FILE",
        )


def many_texts(file: Path) -> list[Line]:
    """The texts of a file: each line that is not empty, or the rows of a table with ids.

    It is a table if its name ends in .csv or .tsv, or if all lines have a ``|``. A table has the columns id and text,
    and maybe speaker, prompt and prompt_text, named in its first line; without names it is ``id|text``. A prompt is a
    path, from the folder of the table, or the name of a stored voice. A text of a table is named by its id, one of
    other files by the number of its line. Raises DataError that lists all lines that cannot be used.
    """
    lines = read_lines(file)
    if file.suffix.lower() in (".csv", ".tsv") or (lines and all("|" in line for _, line in lines)):
        found = _rows(file)
    else:
        digits = max(4, len(str(lines[-1][0]))) if lines else 4
        found = [Line(f"line {number}", f"{number:0{digits}}", text) for number, text in lines]
    if not found:
        raise DataError(f"{file} has no texts", hint="write one text in each line, or id|text")
    return found


def _rows(file: Path) -> list[Line]:
    table = read_table(file, names=NAMES)
    first = table.header or (tuple(cell.casefold() for cell in table.rows[0].cells) if table.rows else ())
    if set(first) & set(NAMES) and not {"id", "text"} <= set(table.header):
        missing = " and ".join(name for name in ("id", "text") if name not in first)
        raise DataError(
            f"{file} has no column {missing}; it has the columns {', '.join(first)}",
            hint="name the columns id and text, and maybe speaker, in the first line",
        )
    if not table.header and table.width != 2:
        raise DataError(
            f"{file} has {table.width} columns without names, and id|text has two",
            hint="write the names into the first line, such as id|speaker|text",
        )
    if table.header:
        found = [
            Line(
                f"line {number}",
                cells["id"],
                cells["text"],
                cells.get("speaker", ""),
                _beside(file, cells.get("prompt", "")),
                cells.get("prompt_text", ""),
            )
            for number, cells in table.records(texts=("text",))
        ]
    else:
        found = [Line(f"line {row.line}", row.cells[0], row.joined(1)) for row in table.rows]
    problems = [f"{where}: {why}" for where, why in table.problems]
    problems += [f"{line.where}: {why}" for line in found if (why := _problem(line))]
    counts = Counter(_stem(line.name).casefold() for line in found)  # some file systems do not distinguish case
    problems += [
        f"{line.where}: the id {line.name!r} occurs {counts[_stem(line.name).casefold()]} times"
        for line in found
        if line.name and counts[_stem(line.name).casefold()] > 1
    ]
    refuse(problems, f"{file} cannot be spoken")
    return [replace(line, name=_stem(line.name)) for line in found]


def _beside(table: Path, prompt: str) -> str:
    """The path of a prompt, from the working folder, if it is a file of the table's folder; else ``prompt`` itself."""
    path = table.parent / prompt
    return str(path) if prompt and is_file(path) else prompt


def _stem(name: str) -> str:
    return name[:-4] if name.lower().endswith(".wav") else name


def _problem(line: Line) -> str:
    """Why a row cannot be spoken; empty if it can."""
    if not line.name or not line.text:
        return "the id is empty" if not line.name else "the text is empty"
    if set(line.name) & set('/\\:*?"<>|\0') or line.name in (".", "..") or len(line.name.encode()) > 200:
        return f"the id {line.name[:40]!r} cannot be the name of a file"
    return ""


def refuse(problems: list[str], message: str) -> None:
    """Raise DataError with the first of the problems, if there are any."""
    if problems:
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        listed = "".join(f"\n  {problem}" for problem in problems[:10])
        raise DataError(
            f"{message}: {counted(len(problems), 'problem')}{listed}{more}",
            hint="correct these lines; nothing was spoken",
        )
