"""The pieces of a text that are spoken one after another: their symbols, and the silence after each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from amphion_core.api import TextFrontend
from amphion_core.errors import DataError
from amphion_core.text import cut_sentence
from amphion_tts.lexicon import Pronunciations
from amphion_tts.markup import Marked, read_markup
from amphion_tts.passages import Silence, Words, early_clauses, passages, sentences_of_phones, sentences_of_text
from amphion_tts.request import TTSRequest
from amphion_tts.texts import check_text
from amphion_tts.wording import Part, parts_of

TOKEN_LIMIT = 1600  # symbols at once, which bounds the memory of a network; 400 characters are mostly fewer than 500


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
        return "".join(part.text for part in self.parts)

    @property
    def tokens(self) -> list[str]:
        """The symbols without blank, begin and end."""
        return [token for part in self.parts for token in part.tokens]


def pieces_of(
    request: TTSRequest, frontend: TextFrontend, pronunciations: Pronunciations | None = None, *, early: bool = False
) -> list[Piece]:
    """The pieces of the text of a request, whose lexicon is ``pronunciations``.

    With ``early``, long sentences at the beginning are cut at clauses.

    Raises DataError for a text that says nothing, for bytes or characters that are no text, for wrong markup, and for
    symbols that the frontend lacks.
    """
    found: list[Piece] = []
    silences: list[Silence] = []
    number = -1
    for passage in _passages(request, frontend, pronunciations, early=early):
        if isinstance(passage, Silence):
            silences.append(passage)
            continue
        _end(found, silences)
        for index, piece in enumerate(_pieces(passage, frontend, phonemes=request.phonemes)):
            number += index > 0 or not passage.continues
            found.append(replace(piece, number=number))
    if number < 0:
        text = request.text
        shown = repr(text[:40]) if text.strip() else "the text is empty"
        raise DataError(f"there is nothing to say: {shown}", hint='amphion tts "Any sentence you like."')
    _end(found, [silence for silence in silences if silence.is_stated])
    return found


def _passages(
    request: TTSRequest, frontend: TextFrontend, pronunciations: Pronunciations | None, *, early: bool
) -> Iterator[Words | Silence]:
    check_text(request.text)
    if request.phonemes and pronunciations:
        raise DataError("the text is phones, so a lexicon of words has no use", hint="leave the lexicon out")
    marked = Marked(request.text)
    if request.markup:
        marked = read_markup(request.text, frontend, slashes=not request.phonemes)
    if pronunciations:
        marked = pronunciations.apply(marked)
    sentences = (
        sentences_of_phones(marked.text)
        if request.phonemes
        else sentences_of_text(marked.text, frontend.config.language)
    )
    found = passages(marked, sentences, pause=request.pause, paragraph_pause=request.paragraph_pause)
    return early_clauses(found) if early else found


def _end(found: list[Piece], silences: list[Silence]) -> None:
    """Put the silence after the last of the pieces found; before the first, a silence that the text states."""
    stated = [silence.seconds for silence in silences if silence.is_stated]
    if found:
        pause = sum(stated) if stated else max((silence.seconds for silence in silences), default=0.0)
        found[-1] = replace(found[-1], pause=pause)
    elif sum(stated):
        found.append(Piece((), (), pause=sum(stated)))
    silences.clear()


def _pieces(words: Words, frontend: TextFrontend, *, phonemes: bool) -> Iterator[Piece]:
    """The piece of a sentence; several where its characters stand for many symbols, as in a line of ½."""
    parts = (
        (Part(words.text, tuple(frontend.phones(words.text)), is_word=False),)
        if phonemes
        else parts_of(words, frontend)
    )
    count = sum(len(part.tokens) for part in parts)
    if count <= TOKEN_LIMIT or len(words.text) < 2:
        yield Piece(parts, tuple(frontend.ids([token for part in parts for token in part.tokens])))
    else:
        for half in words.cut(cut_sentence(words.text, (len(words.text) + 1) // 2)):
            if half.says_something:
                yield from _pieces(half, frontend, phonemes=phonemes)
