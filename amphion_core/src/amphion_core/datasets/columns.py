"""What the columns of a table mean: by their names, by the option ``columns``, or by their values.

A table without a header has an id or a path in its first column. The others are decided by the values of the whole
table:

* Two columns: the second is the text, with every further delimiter in it.
* More columns: a column is a label if none of its values has white space, its values repeat (at most three different
  ones in four rows), and some value comes with different texts. The first label is the speaker. A further label is the
  language if its values look like language codes. All other columns are texts: the first is the text, the second the
  normalised text.

`Table.width` is the number of columns. In a row with more cells, the surplus delimiters belong to a text. Where there
are two texts, the cut is made so that they are most alike.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from amphion_core.audio_files import is_audio
from amphion_core.datasets.layout import RootConfig
from amphion_core.datasets.recordings import FOLDERS, Recordings
from amphion_core.errors import DataError, shortened
from amphion_core.tables import Row, Table

NAMES = {
    "id": ("id", "utterance", "utterance_id", "utt", "utt_id"),
    "path": (
        "path", "file", "filename", "file_name", "filepath", "file_path", "audio", "audio_file", "audio_path",
        "audio_filepath", "wav", "wav_path",
    ),
    "text": ("text", "transcript", "transcription", "sentence"),
    "normalized": ("normalized", "normalised", "normalized_text", "normalised_text", "text_normalized"),
    "speaker": ("speaker", "spk", "speaker_id", "speaker_name", "client_id"),
    "language": ("language", "lang", "locale"),
    "caption": ("caption", "description"),
    "split": ("split", "subset"),
}  # fmt: skip
"""The fields of an utterance, each with the names that a column may have for it."""

KNOWN = frozenset(name for names in NAMES.values() for name in names)
_TEXTS = ("text", "normalized", "caption")
_OPTIONAL = {"normalized", "caption", "language", "split"}  # a row may end before these columns
_CODE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,4})?")
_MOST_COLUMNS = 200
_MOST_CUTS = 20  # surplus delimiters of one row with two texts
_SAMPLE = 1000  # rows that are compared
_MOST_WORDS = 300  # words of two texts that are compared

Fields = dict[str, str]


class TableConfig(RootConfig):
    """The folder of the corpus, and its table."""

    table: str = Field(default="", description="file of the table; empty: one with a usual name, such as metadata.csv")
    columns: tuple[str, ...] = Field(
        default=(),
        description="meaning of the columns, such as [path,speaker,text]; - ignores one; empty: found by the header or "
        "by the values",
    )

    @model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        """Each column is a field and occurs once, and one of them is the id or the path."""
        allowed = [*NAMES, "-"]
        for name in self.columns:
            if name not in allowed:
                raise ValueError(f"columns: {name!r} is not one of {', '.join(allowed)} (- ignores a column)")
            if name != "-" and self.columns.count(name) > 1:
                raise ValueError(f"columns: {name} occurs twice")
        if self.columns and not {"id", "path"} & set(self.columns):
            raise ValueError("columns: one of them must be id or path")
        return self


def listed(
    table: Table, recordings: Recordings, problems: list[tuple[str, str]], columns: Sequence[str] = ()
) -> Iterator[tuple[Fields, Path]]:
    """The fields and the recording of every row of ``table`` that has one; ``problems`` gets the other rows.

    ``fields`` has a key for each of `NAMES` and for each column with another name. Its id has neither suffix nor
    backslashes. Without a column id it is the name of the recording.
    Raises DataError for a header without a column for the id or the path, and for more than 200 columns.
    """
    if table.header and not columns and not set(table.header) & {*NAMES["id"], *NAMES["path"]}:
        raise DataError(f"{table.path} has no column id or path", hint="name the columns in its first line")
    if not table.rows:
        problems.append((table.path.name, "it has no rows"))
    problems += table.problems
    before = len(table.problems)
    rows = _by_name(table) if table.header and not columns else _by_position(table, columns, problems)
    for where, fields in rows:
        name = fields["path"] or fields["id"]
        if not name:
            problems.append((where, "neither id nor path"))
            continue
        path = recordings.find(name)
        if path is None and not table.delimiter and " " in name:
            problems.append((where, "it has no |"))
            continue
        if path is None:
            problems.append((where, recordings.why_missing(name)))
            continue
        fields["id"] = _id(fields, path, recordings)
        yield fields, path
    problems += table.problems[before:]  # those that reading the records found


def guessed_columns(rows: Sequence[Row], width: int) -> tuple[str, ...]:
    """The fields of the columns of a table without a header, by the rules that this module states."""
    if width < 3:
        return ("id", "text")[:width]
    whole = [row.cells for row in rows if len(row.cells) >= width]
    labels = [index for index in range(1, width) if _is_label(whole, index) or _is_label(whole, index - width)]
    if len(labels) == width - 1:
        labels.pop()  # one of them must be the text
    fields = ["id"] + ["-"] * (width - 1)
    if labels:
        fields[labels[0]] = "speaker"
    codes = [index for index in labels[1:] if all(_CODE.fullmatch(cells[index]) for cells in whole)]
    if codes:
        fields[codes[0]] = "language"
    texts = [index for index in range(1, width) if index not in labels]
    for index, name in zip(texts, ("text", "normalized"), strict=False):
        fields[index] = name
    return tuple(fields)


def _is_label(rows: Sequence[tuple[str, ...]], index: int) -> bool:
    """Whether a column is a label. A negative index counts from the end, after a text that is cut into more cells."""
    partners: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for cells in rows:
        partners[cells[index]].add(cells[1:index] + cells[index:][1:])
    repeats = len(partners) * 4 <= len(rows) * 3 and any(len(found) > 1 for found in partners.values())
    return repeats and "" not in partners and not any(map(_has_space, partners))


def _has_space(value: str) -> bool:
    return re.search(r"\s", value) is not None


def _by_name(table: Table) -> Iterator[tuple[str, Fields]]:
    texts = [name for field in _TEXTS for name in NAMES[field]]
    for line, record in table.records(texts):
        fields = {
            field: next((record[name] for name in names if record.get(name)), "") for field, names in NAMES.items()
        }
        others = {name: value for name, value in record.items() if name and value and name not in KNOWN}
        yield f"{table.path.name} line {line}", fields | others


def _by_position(table: Table, columns: Sequence[str], problems: list[tuple[str, str]]) -> Iterator[tuple[str, Fields]]:
    if table.width > _MOST_COLUMNS:
        raise DataError(f"{table.path} has {table.width} columns", hint="is it a table of recordings and texts?")
    stated = tuple(columns) or guessed_columns(table.rows, table.width)
    if columns and stated[-1] not in _TEXTS:  # otherwise every further delimiter belongs to the last text
        stated += ("-",) * (table.width - len(stated))
    if not columns and _may_be_speakers(table.rows, stated):
        why = "columns are read as id, text, normalised text: if the second is the speaker, columns=[id,speaker,text]"
        problems.append((table.path.name, why))
    elif not columns and _are_unlike(table.rows, stated):
        why = (
            "columns are read as id, text, normalised text: these two mostly share no word. If they are one text with "
            f"{table.delimiter} inside, columns=[id,text]; to ignore the third, columns=[id,text,-]"
        )
        problems.append((table.path.name, why))
    empty = dict.fromkeys(NAMES, "")
    mark = {"\t": "tab", "": "|"}.get(table.delimiter, table.delimiter)
    for row in table.rows:
        if len(row.cells) == 1 and len(stated) != 1:
            problems.append((table.where(row), f"it has no {mark}"))
            continue
        cells = _fitted(row, stated)
        if cells is None:
            problems.append((table.where(row), f"{len(row.cells)} columns instead of {len(stated)}"))
            continue
        if len(row.cells) > len(stated) > 2:
            texts = " and ".join(repr(shortened(cells[i])) for i, name in enumerate(stated) if name in _TEXTS)
            problems.append((table.where(row), f"read, but a text contains the delimiter {mark}: as {texts}"))
        yield table.where(row), empty | {name: cell for name, cell in zip(stated, cells, strict=True) if name != "-"}


def _may_be_speakers(rows: Sequence[Row], columns: Sequence[str]) -> bool:
    """Whether the text looks like a speaker: it never has white space and the normalised text always, or it repeats."""
    whole = [row.cells for row in rows if len(row.cells) == 3]
    if tuple(columns) != ("id", "text", "normalized") or not whole:
        return False
    is_name = all(_has_space(cells[2]) and not _has_space(cells[1]) for cells in whole)
    pairs = {(cells[1], cells[2]) for cells in whole}
    return is_name or 2 * len({cells[1] for cells in whole}) <= len(pairs)


def _are_unlike(rows: Sequence[Row], columns: Sequence[str]) -> bool:
    """Whether text and normalised text share no word in most rows, as the parts of one text or sounds do."""
    if tuple(columns) != ("id", "text", "normalized"):
        return False
    pairs = [row.cells[1:] for row in rows[:_SAMPLE] if len(row.cells) == 3 and row.cells[1] and row.cells[2]]
    words = [[set(re.findall(r"\w+", text.casefold())) for text in pair] for pair in pairs]
    return 2 * sum(not left & right for left, right in words) > len(words)


def _fitted(row: Row, columns: Sequence[str]) -> list[str] | None:
    """The cells of a row, one for each of ``columns``; None if they cannot be assigned."""
    cells = list(row.cells)
    while len(cells) > len(columns) and not cells[-1]:  # delimiters at the end of the line
        cells.pop()
    surplus = len(cells) - len(columns)
    if surplus < 0:
        may_end = set(columns[surplus:]) <= _OPTIONAL
        return cells + [""] * -surplus if may_end else None
    if surplus == 0:
        return cells
    texts = [index for index, name in enumerate(columns) if name in _TEXTS]
    if len(texts) == 1:
        first = texts[0]
        return [*cells[:first], row.joined(first, first + surplus + 1), *cells[first + surplus + 1 :]]
    if len(texts) == 2 and texts[1] == texts[0] + 1 and surplus <= _MOST_CUTS:
        first, end = texts[0], texts[1] + surplus + 1
        cuts = [(row.joined(first, cut), row.joined(cut, end)) for cut in range(first + 1, end)]
        return [*cells[:first], *max(cuts, key=lambda texts: likeness(*texts)), *cells[end:]]
    return None


def likeness(one: str, other: str) -> float:
    """The share of words that two texts have in common, from 0 to 1. Two texts without words are not alike."""
    left, right = (re.findall(r"\w+", text.casefold())[:_MOST_WORDS] for text in (one, other))
    return SequenceMatcher(None, left, right, autojunk=False).ratio() if left and right else 0.0


def _id(fields: Fields, path: Path, recordings: Recordings) -> str:
    """The id that a row states, as a name; where it is a path or missing, the name of the recording."""
    stated = unicodedata.normalize("NFC", fields["id"].replace("\\", "/"))
    if not stated or ("/" in stated and not fields["path"]):
        return recordings.name_of(path)
    return stated.rpartition(".")[0] if is_audio(stated) else stated


def without_folder(id: str) -> str:
    """An id without the usual folder of the recordings: ``a1`` for ``wavs/a1``."""
    first, slash, rest = id.partition("/")
    return rest if slash and first.lower() in FOLDERS else id
