"""Reads text files: their lines, and tables of ids, paths and texts by the rules of the csv library.

Every table of a corpus or of an evaluation is read here, so that all commands agree on these rules:

* A file is UTF-8, with or without a byte order mark. Any other encoding is an error that states the byte.
* A line ends at ``\\n``, ``\\r\\n`` or ``\\r`` only. Other characters that Python's ``splitlines`` cuts at, such as
  U+2028, U+0085 and form feed, belong to the text.
* The delimiter is ``|``, tab, comma or semicolon. It is the one that splits the header into known names. Without a
  header, each line votes for the delimiter that it contains first, because ids contain none. In a file with the suffix
  .tsv it is a tab if most lines contain one.
* Quotation marks around a cell are removed where they follow the rules of csv. In tables with commas or semicolons
  this is decided for each row: ``a1,"Yes," he said.`` does not follow them, so its marks belong to the text.
* Tables with ``|`` or tabs are mostly written without quoting. They count as quoted only if some row has the usual
  number of cells by the rules of csv alone, if some cell contains doubled marks, or if all cells are quoted.
* Spaces around a cell are removed. Line breaks inside a quoted cell become spaces.
"""

import csv
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from amphion_core.errors import DataError
from amphion_core.files import read_file

DELIMITERS = "|\t,;"  # the first wins where two have equally many votes
_LONGEST_CELL = 131_072  # characters; the default limit of the csv library
_MOST_LINES = 100  # lines of one quoted cell; a longer one is an opening mark that nothing closes
_BEGINNING = 64  # bytes that show whether a file is binary
_FEW_NULS = 3  # of them that may be NUL: then some lines are wrong, not the whole file
_SAMPLE = 1000  # lines that vote for the delimiter
_LINE_END = re.compile(r"\r\n|\n|\r")
_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the number of its first line, counted from 1, and its cells without spaces around them."""

    line: int
    cells: tuple[str, ...]
    _raw: tuple[str, ...]
    _delimiter: str

    @property
    def starts_spaced(self) -> bool:
        """Whether a space follows the first delimiter."""
        return len(self._raw) > 1 and self._raw[1].startswith(" ")

    @property
    def certain_cells(self) -> int:
        """The number of cells, if delimiters with a space behind them are part of a text."""
        return 1 + sum(not cell.startswith(" ") for cell in self._raw[1:])

    def joined(self, first: int, end: int | None = None) -> str:
        """The cells from ``first`` to before ``end`` as one text, with the delimiters that separated them."""
        return self._delimiter.join(self._raw[first:end]).strip()


@dataclass(slots=True)
class Table:
    """The rows of a table file. ``problems`` lists (where, why) for every row that cannot be read."""

    path: Path
    delimiter: str  # empty: no line contains one, so every row has one cell
    header: tuple[str, ...]  # in lower case; empty: the table has no header
    rows: list[Row]
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def width(self) -> int:
        """The number of columns: that of the header, else the most frequent number of cells; 0 without rows.

        Rows of one cell count only if there are no others. Of two equally frequent numbers it is the smaller. Texts
        often contain commas and semicolons, so in tables that are separated by them it is the smallest number that a
        tenth of the rows has. There, a delimiter with a space behind it belongs to a text, unless most rows have a
        space behind their first delimiter.
        """
        if self.header:
            return len(self.header)
        in_texts = self.delimiter in (",", ";")
        is_spaced = 2 * sum(row.starts_spaced for row in self.rows) > len(self.rows)
        counts = Counter(row.certain_cells if in_texts and not is_spaced else len(row.cells) for row in self.rows)
        if len(counts) > 1:
            del counts[1]
        if in_texts:
            return min((cells for cells in counts if counts[cells] * 10 >= counts.total()), default=0)
        return max(counts, key=lambda cells: (counts[cells], -cells), default=0)

    def where(self, row: Row) -> str:
        """The file and the line of a row, for messages."""
        return f"{self.path.name} line {row.line}"

    def records(self, texts: Collection[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
        """The line number and the cells by column name of every row; missing cells are empty.

        A delimiter inside a text that is not quoted makes surplus cells. They are joined again if exactly one column is
        named in ``texts``; else the row becomes one of the problems.
        """
        free = [index for index, name in enumerate(self.header) if name in texts]
        for row in self.rows:
            cells, surplus = list(row.cells), len(row.cells) - len(self.header)
            while surplus > 0 and not cells[-1]:  # delimiters at the end of the line
                cells.pop()
                surplus -= 1
            if surplus > 0 and len(free) != 1:
                why = f"it has {len(cells)} cells, but there are {len(self.header)} columns"
                self.problems.append((self.where(row), why))
                continue
            if surplus > 0:
                end = free[0] + surplus + 1
                cells[free[0] : end] = [row.joined(free[0], end)]
            yield row.line, dict(zip(self.header, cells + [""] * -min(surplus, 0), strict=True))


def read_text(path: str | Path) -> str:
    """The content of a UTF-8 text file without its byte order mark.

    Raises DataError for a file that is missing, unreadable, not a regular file, binary, or not UTF-8. Its message
    states the wrong byte, and its hint is the command that converts the file.
    """
    content = read_file(path, DataError, wanted="a text file")
    return decode(content, str(path))


def decode(content: bytes, name: str, command: str = "iconv -f {encoding} -t UTF-8 {file} > NEW") -> str:
    """UTF-8 bytes as text, without their byte order mark; ``name`` is the file or stream that they came from.

    Raises DataError that states the first byte which is not UTF-8; the hint is the ``command`` that converts the file.
    """
    is_utf16 = content[:2] in _ENCODINGS or _looks_like_utf16(content)
    if not is_utf16 and content.count(0, 0, _BEGINNING) > _FEW_NULS:
        raise DataError(f"{name} holds binary data, not text", hint="give the path of a text file")
    encoding = _ENCODINGS.get(content[:2]) or ("UTF-16LE" if _looks_like_utf16(content) else "LATIN1")
    try:
        if encoding != "LATIN1":
            raise UnicodeDecodeError("utf-8", content, 0, 1, encoding)
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        convert = command.format(encoding=encoding, file=shlex.quote(name))
        raise DataError(
            f"{name} is not UTF-8 text: byte {error.start + 1} (0x{content[error.start]:02x}) in line {line}",
            hint=f"convert it, for example from {encoding}: {convert}",
        ) from error


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends ``\\n``, ``\\r\\n`` or ``\\r``; no other character ends a line.

    >>> split_lines("one\\u2028still one\\r\\ntwo\\n")
    ['one\\u2028still one', 'two']
    """
    lines = _LINE_END.split(text)
    return lines[:-1] if not lines[-1] else lines


def read_lines(path: str | Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not empty, without spaces around them, each with its number from 1.

    Raises DataError as `read_text` does, and for a line with a NUL character.
    """
    found = [(number, line.strip()) for number, line in enumerate(split_lines(read_text(path)), 1) if line.strip()]
    for number, line in found:
        if "\0" in line:
            raise DataError(f"{path} line {number} has a NUL character", hint=f"tr -d '\\000' < {path} > NEW")
    return found


def read_table(
    path: str | Path, *, names: Collection[str] = (), header: bool | None = None, delimiter: str = ""
) -> Table:
    """Read a table by the rules that this module states.

    ``names`` are the names that columns may have, in lower case. ``header`` says whether the first line names the
    columns; with None it does if two of its cells, or all of them, are in ``names``. ``delimiter`` is found if it is
    empty. Rows that cannot be read (a NUL character, a cell of more than 131,072 characters) are problems of the table.
    Raises DataError as `read_text` does, for a missing header, and for two columns with one name.
    """
    path = Path(path)
    lines = split_lines(read_text(path))
    stated = re.fullmatch("sep=(.)", lines[0]) if lines else None  # Excel's way to name the delimiter
    if stated:
        delimiter, lines[0] = delimiter or stated[1], ""
    start = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    sample = [line for line in lines[start : start + _SAMPLE] if line.strip()]
    delimiter = delimiter or _delimiter(sample, path.suffix.lower(), names)
    table = Table(path, delimiter, (), [])
    quoted = _is_quoted([line for line in lines[start:] if line.strip()], delimiter)
    for number, cells in _records(lines, delimiter, quoted):
        if any("\0" in cell for cell in cells):
            table.problems.append((f"{path.name} line {number}", "it has a NUL character"))
        elif max(map(len, cells)) > _LONGEST_CELL:
            table.problems.append((f"{path.name} line {number}", f"a cell has more than {_LONGEST_CELL:,} characters"))
        else:
            table.rows.append(Row(number, tuple(cell.strip() for cell in cells), tuple(cells), delimiter))
    first = tuple(cell.casefold() for cell in table.rows[0].cells) if table.rows else ()
    if header or (header is None and _is_header(first, names)):
        table.header = _checked_header(first, path)
        del table.rows[0]
    return table


def _looks_like_utf16(content: bytes) -> bool:
    """Whether most characters of the beginning have a zero byte, as Latin letters have in UTF-16."""
    high, low = content[1:_BEGINNING:2], content[:_BEGINNING:2]
    return len(high) > 1 and high.count(0) > 0.7 * len(high) and low.count(0) < 0.1 * len(low)


def _delimiter(lines: Sequence[str], suffix: str, names: Collection[str]) -> str:
    """The delimiter of these lines, or an empty string if no line contains one."""
    if not lines:
        return ""
    if suffix == ".tsv" and sum("\t" in line for line in lines) * 2 > len(lines):
        return "\t"
    known = {mark: sum(cell.strip(' "').casefold() in names for cell in lines[0].split(mark)) for mark in DELIMITERS}
    found = max(DELIMITERS, key=lambda mark: known[mark])  # the first of the largest
    if known[found] > 1 or (known[found] and found in lines[0]):
        return found
    votes: Counter[str] = Counter()
    for line in lines:
        rest = re.sub(r'^\s*"(?:[^"]|"")*"', "", line)  # marks inside a quoted first cell do not count
        *cells, last = rest.lstrip().split("|")
        rest = "|".join([*map(str.rstrip, cells), last])  # in "id TAB | TAB text" the tabs are padding
        first = min(((rest.find(mark), mark) for mark in DELIMITERS if mark in rest), default=None)
        if first is not None:
            votes[first[1]] += 1
    return max(DELIMITERS, key=lambda mark: votes[mark]) if votes else ""


def _is_quoted(lines: Sequence[str], delimiter: str) -> bool:
    """Whether quotation marks around cells follow the rules of csv, as the docstring of the module states."""
    if not delimiter:
        return False
    opening = rf'(?:^|{re.escape(delimiter)}) *"'
    opened = [index for index, line in enumerate(lines) if '"' in line and re.search(opening, line)]
    if not opened or delimiter in ",;":
        return bool(opened)
    plain = Counter(line.count(delimiter) + 1 for line in lines)
    usual = plain.most_common(1)[0][0]
    all_quoted = True
    for index in opened:
        record = _quoted_record(lines, index, delimiter)
        if record is None:
            return False
        cells, used = record
        whole = "\n".join(lines[index : index + used])
        if len(cells) == usual != whole.count(delimiter) + 1 or re.search(opening + '[^"]*""', whole):
            return True
        all_quoted &= whole.count('"') >= 2 * sum(bool(cell) for cell in cells)
    return all_quoted and len(opened) == len(lines)


def _records(lines: Sequence[str], delimiter: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line and the cells of every row that is not empty."""
    index = 0
    while index < len(lines):
        line, used = lines[index], 1
        if line.strip() or (delimiter == "\t" and "\t" in line):
            record = _quoted_record(lines, index, delimiter) if quoted and '"' in line else None
            if record is None:
                cells = line.split(delimiter) if delimiter else [line]
            else:
                cells, used = record
            yield index + 1, cells
        index += used


def _quoted_record(lines: Sequence[str], index: int, delimiter: str) -> tuple[list[str], int] | None:
    """The cells of the row at ``index`` and the number of its lines; None if it does not follow the rules of csv."""
    following = (line + "\n" for line in lines[index : index + _MOST_LINES])
    reader = csv.reader(following, delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t")
    try:
        cells = next(reader)
        return [cell.replace("\n", " ") for cell in cells], reader.line_num
    except (csv.Error, StopIteration):
        return None


def _is_header(first: Sequence[str], names: Collection[str]) -> bool:
    known = sum(cell in names for cell in first)
    return known >= 2 or (bool(first) and known == len(first))


def _checked_header(first: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """The names of the columns. Raises DataError if there are none, or one occurs twice."""
    if not any(first):
        raise DataError(f"{path} is empty", hint="write the names of the columns into the first line")
    repeated = [name for name, count in Counter(name for name in first if name).items() if count > 1]
    if repeated:
        raise DataError(f"{path} has two columns {repeated[0]!r}", hint="rename one of them in the first line")
    return first
