"""A text as words and silences in turn: sentences, the pauses between them, and the pauses that the text states."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from amphion_core.text import clause_ends, cut_sentence, paragraphs, sentences_of_line
from amphion_tts.markup import PAUSE, PHONES, WIDTH, Marked, Phones

SENTENCE_LIMIT = 400  # characters at once; longer sentences are cut at commas, then at spaces
CLAUSE_PAUSE = 0.1  # seconds where a sentence is cut at a comma; a voice makes about 0.25 s at the ends of two pieces
EARLY_LIMIT = 60  # characters of a first sentence that is spoken whole although its audio is needed early
EARLY_GROWTH = 4  # an early piece is at most so many times as long as all before it, which are played meanwhile
SHORTEST_CLAUSE = 20  # characters; a voice says shorter pieces badly
_DANGLING = re.compile(r"\A[,;:.!?…]+(?=\s|\Z)")  # marks after a pause, which belong to the words before it


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds without speech. ``is_stated``: the text states it, and no other silence is added there."""

    seconds: float
    is_stated: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence or a part of one; ``PHONES`` in its text stand for ``phones``.

    ``continues``: the words before it are of the same sentence, which was cut so that its audio comes early.
    """

    text: str
    phones: tuple[Phones, ...] = ()
    continues: bool = False

    @property
    def says_something(self) -> bool:
        """Whether there are letters, digits or phones."""
        return bool(self.phones) or any(map(str.isalnum, self.text))

    def cut(self, texts: Iterable[str]) -> "Iterator[Words]":
        """The parts of these words that ``texts`` are, in order, each with its phones."""
        start = 0
        for text in texts:
            end = start + text.count(PHONES)
            yield replace(self, text=text, phones=self.phones[start:end])
            start = end


def sentences_of_text(text: str, language: str) -> list[list[str]]:
    """The sentences of each paragraph of a text in words."""
    return [
        [sentence for line in lines for sentence in sentences_of_line(line.replace(WIDTH, ""), language)]
        for lines in paragraphs(text)
    ]


def sentences_of_phones(text: str) -> list[list[str]]:
    """The sentences of each paragraph of a text in phones; they end at . ! ? and white space, and at blank lines."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text.replace(WIDTH, ""))]
    return [re.split(r"(?<=[.!?])\s+", block) for block in blocks if block]


def passages(
    marked: Marked, sentences: list[list[str]], *, pause: float, paragraph_pause: float
) -> Iterator[Words | Silence]:
    """The words of ``sentences``, with a silence after each sentence and paragraph and at each pause of the text.

    ``sentences`` are those of each paragraph of ``marked.text``.
    """
    pauses, phones = iter(marked.pauses), iter(marked.phones)
    for paragraph in sentences:
        for sentence in paragraph:
            for index, text in enumerate(sentence.split(PAUSE)):
                if index:
                    yield Silence(next(pauses), is_stated=True)
                    text = _DANGLING.sub("", text)
                words = Words(text.strip(), tuple(next(phones) for _ in range(text.count(PHONES))))
                for piece in words.cut(cut_sentence(words.text, SENTENCE_LIMIT)):
                    if piece.says_something:
                        yield piece
                        yield _after(piece)
            yield Silence(pause)
        yield Silence(paragraph_pause)


def early_clauses(found: Iterable[Words | Silence]) -> Iterator[Words | Silence]:
    """``found`` with the long sentences at the beginning cut at clauses, so that audio never has to be waited for.

    The first piece ends with its first clause of some length. Each later piece may be several times as long as all
    before it together.
    """
    spoken = 0
    for passage in found:
        if isinstance(passage, Silence):
            yield passage
            continue
        rest = passage
        while cut := _early_cut(rest.text, spoken):
            first, rest = rest.cut([rest.text[:cut].strip(), rest.text[cut:].strip()])
            yield first
            yield _after(first)
            spoken += cut
            rest = replace(rest, continues=True)
        yield rest
        spoken += len(rest.text)


def _early_cut(text: str, spoken: int) -> int:
    """Where to cut a text before which ``spoken`` characters are spoken; 0 for nowhere."""
    limit = max(EARLY_LIMIT, EARLY_GROWTH * spoken)
    if len(text) <= limit:
        return 0
    ends = [end for end in clause_ends(text) if SHORTEST_CLAUSE <= end <= len(text) - SHORTEST_CLAUSE]
    fitting = [end for end in ends if end <= limit]
    if not spoken or not fitting:
        return ends[0] if ends else 0
    return fitting[-1]


def _after(words: Words) -> Silence:
    """The silence after words that end inside a sentence; at its end, a longer one follows."""
    return Silence(CLAUSE_PAUSE if len(words.text) in clause_ends(words.text) else 0.0)
