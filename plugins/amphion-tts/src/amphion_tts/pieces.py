"""The pieces of a text that are spoken one after another: their symbols, and the silence after each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from amphion_core.api import TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import split_sentences
from amphion_tts.texts import check_text

TOKEN_LIMIT = 1600  # symbols at once, which bounds the memory of a network; 400 characters are mostly fewer than 500
SENTENCE_LIMIT = 400  # characters at once; longer sentences are cut at commas, then at spaces


@dataclass(frozen=True, slots=True)
class Part:
    """Some words of a piece, and the symbols that stand for them. Symbols include the spaces between words."""

    text: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is given to the network at once, mostly one sentence, and the silence after it in seconds.

    ``ids`` are those of all tokens, with the blank, begin and end of the frontend. A piece without ids is silence only.
    ``number`` is added to the seed of the request.
    """

    parts: tuple[Part, ...]
    ids: tuple[int, ...]
    pause: float = 0.0
    number: int = 0

    @property
    def text(self) -> str:
        """The words as they are written."""
        return " ".join(part.text for part in self.parts)

    @property
    def tokens(self) -> list[str]:
        """The symbols without blank, begin and end."""
        return [token for part in self.parts for token in part.tokens]


def pieces_of(text: str, frontend: TextFrontend, *, pause: float) -> list[Piece]:
    """The pieces of a text, with ``pause`` seconds after all but the last.

    Raises DataError for a text that says nothing, for bytes or characters that are no text, and for symbols that the
    frontend lacks.
    """
    check_text(text)
    found = [piece for sentence in _sentences(text, frontend, SENTENCE_LIMIT) for piece in _pieces(sentence, frontend)]
    if not found:
        shown = repr(text[:40]) if text.strip() else "the text is empty"
        raise DataError(f"there is nothing to say: {shown}", hint='amphion tts "Any sentence you like."')
    last = len(found) - 1
    return [replace(piece, pause=pause if index < last else 0.0, number=index) for index, piece in enumerate(found)]


def _sentences(text: str, frontend: TextFrontend, limit: int) -> list[str]:
    pieces = split_sentences(text, language=frontend.config.language, max_chars=limit)
    return [piece for piece in pieces if any(map(str.isalnum, piece))]


def _pieces(sentence: str, frontend: TextFrontend) -> Iterator[Piece]:
    """The piece of a sentence; several where its characters stand for many symbols, as in a line of ½."""
    tokens = frontend.tokens(sentence)
    if len(tokens) <= TOKEN_LIMIT or len(sentence) < 2:
        yield Piece((Part(sentence, tuple(tokens)),), tuple(frontend.ids(tokens)))
    else:
        for half in _sentences(sentence, frontend, (len(sentence) + 1) // 2):
            yield from _pieces(half, frontend)
