"""A user's own pronunciations: a file of lines such as ``Nguyen  N W IY1 N``, in the phones of the voice.

The word ends at the first tab, or at the first space of a line without tabs. Lines that begin with ``#`` or ``;;;`` are
comments. A word in lower case stands for the word in any case; a word with a capital letter stands for exactly that
word, so that ``Polish`` and ``polish`` can differ. Longer entries are preferred to shorter ones.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from amphion_core.errors import DataError
from amphion_core.requests import FromFile
from amphion_core.tables import read_lines
from amphion_tts.markup import PHONES, SPACELESS, WIDTH, Marked, Phones
from amphion_tts.texts import refuse

if TYPE_CHECKING:
    from amphion_core.api import TextFrontend

_RUN = re.compile(rf"{PHONES}|[{SPACELESS}]|(?:(?![{SPACELESS}])\w)+")
_ENDS = re.compile(rf"[^\W{SPACELESS}]\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One word with its phones as they are written, and where that is, for messages."""

    word: str
    phones: str
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon(FromFile):
    """The entries of a lexicon, and the name of its file. Two lexicons are equal only if they are one object."""

    entries: tuple[Entry, ...]
    name: str = "lexicon"

    @classmethod
    def read(cls, file: Path) -> "Lexicon":
        """Read a lexicon file. Raises DataError that lists the lines without phones and the words that occur twice."""
        entries, problems = [], []
        for number, line in read_lines(file):
            if line.startswith(("#", ";;;")):
                continue
            word, _, phones = line.partition("\t") if "\t" in line else line.partition(" ")
            entries.append(Entry(word.strip(), phones.strip(), f"line {number}"))
            if not phones.strip():
                problems.append(f"line {number}: the word {word.strip()[:40]!r} has no phones")
        return cls._checked(entries, problems, str(file))

    @classmethod
    def of(cls, words: Mapping[str, str]) -> "Lexicon":
        """The lexicon of a mapping of words to phones. Raises DataError that lists what is no entry."""
        entries = [Entry(str(word).strip(), str(phones).strip(), repr(word)) for word, phones in words.items()]
        problems = [f"{entry.where}: the word has no phones" for entry in entries if not entry.phones]
        return cls._checked(entries, problems, "lexicon")

    @classmethod
    def _checked(cls, entries: list[Entry], problems: list[str], name: str) -> "Lexicon":
        seen: dict[str, str] = {}
        for entry in entries:
            if not entry.word[:1].isalnum():
                problems.append(f"{entry.where}: {entry.word[:40]!r} does not begin with a letter or a digit")
            if entry.word in seen:
                problems.append(f"{entry.where}: the word {entry.word[:40]!r} has phones in {seen[entry.word]} too")
            seen[entry.word] = entry.where
        refuse(problems, f"{name} is no lexicon")
        if not entries:
            raise DataError(f"{name} has no entries", hint="write a word, a tab and its phones in each line")
        return cls(tuple(entries), name)


def _read(value: Any) -> Lexicon:
    if isinstance(value, Lexicon):
        return value
    if isinstance(value, str | Path):
        return Lexicon.read(Path(value))
    if isinstance(value, Mapping):
        return Lexicon.of(value)
    raise ValueError("a lexicon is the path of a file, or words with their phones")


LexiconInput = Annotated[
    Lexicon,
    PlainValidator(_read),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
"""Annotation of a request's field that holds a lexicon: the path of a file, or a mapping of words to phones."""


class Pronunciations:
    """A lexicon in the symbols of a frontend."""

    def __init__(self, lexicon: Lexicon, frontend: "TextFrontend") -> None:
        """Raises DataError that lists the entries with a phone that the frontend lacks."""
        self.lexicon = lexicon
        self._by_run: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        problems = []
        for entry in sorted(lexicon.entries, key=_preference):
            try:
                tokens = tuple(frontend.phones(entry.phones))
            except DataError as error:
                hint = f" ({error.hint})" if error.hint and error.hint.startswith("did you mean") else ""
                problems.append(f"{entry.where}: {entry.word}: {error.message}{hint}")
                continue
            first = _RUN.match(_normal(entry.word))
            assert first is not None  # the word begins with a letter or a digit
            self._by_run.setdefault(first[0].casefold(), []).append((entry.word, tokens))
        refuse(problems, f"{lexicon.name} has phones that the voice lacks")

    def apply(self, marked: Marked) -> Marked:
        """``marked`` with the phones of each word that the lexicon has."""
        text = _normal(marked.text)
        written: list[str] = []
        phones: list[Phones] = []
        before = iter(marked.phones)
        position = 0
        for run in _RUN.finditer(text):
            if run.start() < position:
                continue
            if run[0] == PHONES:
                phones.append(next(before))
            elif found := self._find(text, run):
                word, tokens = found
                written += [text[position : run.start()], PHONES, WIDTH * (len(word) - 1)]
                phones.append(Phones(word, tokens, is_word=True))
                position = run.start() + len(word)
        return Marked("".join(written) + text[position:], marked.pauses, tuple(phones))

    def _find(self, text: str, run: re.Match[str]) -> tuple[str, tuple[str, ...]] | None:
        for word, tokens in self._by_run.get(run[0].casefold(), ()):
            if match := _pattern(word).match(text, run.start()):
                return match[0], tokens
        return None


def _preference(entry: Entry) -> tuple[int, bool]:
    return -len(entry.word), entry.word.islower()


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=10_000)
def _pattern(word: str) -> re.Pattern[str]:
    """What an entry matches: white space of any width, both apostrophes, and the end of a word after it."""
    written = "".join(_escaped(_normal(word)))
    end = r"(?!\w)" if _ENDS.search(_normal(word)) else ""
    return re.compile(written + end, 0 if word != word.lower() else re.I)


def _escaped(word: str) -> Iterator[str]:
    for piece in re.split(r"(\s+|['’])", word):
        yield r"\s+" if piece.isspace() else "['’]" if piece in ("'", "’") else re.escape(piece)
