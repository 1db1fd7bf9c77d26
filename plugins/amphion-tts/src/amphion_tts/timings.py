"""When the words and phones of a spoken text begin and end, from the durations that the network states.

A phone lasts from the beginning of its symbol to the beginning of the next one, so the blank symbols between phones
belong to the phone before them. What the network says for spaces, punctuation, begin and end of a piece is no part of a
word: commas and full stops are mostly pauses.

A frontend states symbols for a whole sentence, and not which symbol belongs to which word: numbers become several
words, and short words may be joined. Where the words cannot simply be counted, the symbols of each word alone are
aligned with those of the sentence.
"""

import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate

from amphion_core.api import TextFrontend
from amphion_core.errors import DataError
from amphion_tts.wording import Part

_SILENCES = frozenset({"@sp", "@spn", "@sil", "sp", "spn", "sil"})  # symbols of pauses that are letters
_WIDE = "\u3040-\u30ff\u3400-\u9fff"  # kana and Chinese, which are written without spaces: each character is a word
_WRITTEN = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]+")
_SIMPLE = re.compile(r"[^\w]*(?:[^\W\d_]+['’]?)*[^\w]*")  # a word that no frontend writes as several words


@dataclass(frozen=True, slots=True)
class Phone:
    """A symbol of the frontend, and when it is said, in seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is written, with its punctuation, and when it is said, in seconds."""

    text: str
    start: float
    end: float
    phones: tuple[Phone, ...]

    def shifted(self, seconds: float) -> "Word":
        """The word, said ``seconds`` later."""
        phones = tuple(Phone(each.symbol, each.start + seconds, each.end + seconds) for each in self.phones)
        return Word(self.text, self.start + seconds, self.end + seconds, phones)


def words_of(
    parts: Sequence[Part], ids: Sequence[int], durations: Sequence[int], seconds: float, frontend: TextFrontend
) -> list[Word]:
    """The words of a piece of text that is spoken in ``seconds``; ``durations`` are those of its ``ids`` in frames.

    Raises DataError for ids that are not those of the tokens of ``parts``.
    """
    tokens = [token for part in parts for token in part.tokens]
    borders = [seconds * frames / max(1, sum(durations)) for frames in accumulate(durations, initial=0)]
    phones = [
        Phone(token, borders[place], borders[end])
        for token, (place, end) in zip(tokens, _places(tokens, ids, frontend), strict=True)
    ]
    found = []
    for text, start, end in _spans(parts, frontend):
        said = tuple(phone for phone in phones[start:end] if is_sound(phone.symbol))
        if said:
            found.append(Word(text, said[0].start, said[-1].end, said))
        elif found:  # such as a dash, for which nothing is said
            last = found[-1]
            found[-1] = Word(joined([last.text, text]), last.start, last.end, last.phones)
    return found


def is_sound(token: str) -> bool:
    """Whether a symbol is a sound or a letter, and no space, pause or mark."""
    return token not in _SILENCES and any(map(str.isalnum, token))


def joined(words: Iterable[str]) -> str:
    """Words as one text, with spaces where their script has them."""
    text = ""
    for word in words:
        wide = text and word and (_is_wide(text[-1]) or _is_wide(word[0]))
        text += word if not text or wide else f" {word}"
    return text


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def _places(tokens: Sequence[str], ids: Sequence[int], frontend: TextFrontend) -> list[tuple[int, int]]:
    """The position of each token in ``ids``, and where what belongs to it ends: behind the blanks that follow it."""
    config = frontend.config
    table = {symbol: number for number, symbol in enumerate(config.symbols)}
    blank = table.get(config.blank or "", -1)
    found: list[tuple[int, int]] = []
    position = 0
    for token in tokens:
        try:
            position = ids.index(table[token], position)
        except (KeyError, ValueError) as error:
            raise DataError(f"the ids of the text do not have its symbol {token!r}, so its time is unknown") from error
        end = position + 1
        while end < len(ids) and ids[end] == blank:
            end += 1
        found.append((position, end))
        position += 1
    return found


def _spans(parts: Sequence[Part], frontend: TextFrontend) -> list[tuple[str, int, int]]:
    """The written words with the tokens from start to before end that are said for each."""
    found: list[tuple[str, int, int]] = []
    offset, glued = 0, False
    for part in parts:
        words = [(text, start + offset, end + offset) for text, start, end in _words_of_part(part, frontend)]
        if glued and found and words and not part.text[:1].isspace():  # the phones of a word, then "'s" or a comma
            (text, start, _), (more, _, end) = found.pop(), words.pop(0)
            found.append((text + more, start, end))
        found += words
        offset += len(part.tokens)
        glued = not part.text[-1:].isspace() if part.text else glued
    return found


def _words_of_part(part: Part, frontend: TextFrontend) -> list[tuple[str, int, int]]:
    groups = _groups(part.tokens)
    if not part.is_word:
        space = " " if any(len(token) > 1 for token in part.tokens) else ""
        return [(space.join(part.tokens[start:end]), start, end) for start, end in groups]
    written = _WRITTEN.findall(part.text)
    saying = [text for text in written if any(map(str.isalnum, text))]
    if len(saying) == len(groups) and (len(groups) == 1 or all(map(_SIMPLE.fullmatch, saying))):
        spans = iter(groups)
        return [(text, *(next(spans) if any(map(str.isalnum, text)) else (0, 0))) for text in written]
    return list(_aligned(written, part.tokens, frontend))


def _groups(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Where the runs of tokens between spaces and pauses begin and end, without those that have no sound."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for index, token in enumerate([*tokens, " "]):
        if token == " " or token in _SILENCES:
            if start is not None and any(map(is_sound, tokens[start:index])):
                found.append((start, index))
            start = None
        elif start is None:
            start = index
    return found


def _aligned(written: Sequence[str], tokens: Sequence[str], frontend: TextFrontend) -> Iterator[tuple[str, int, int]]:
    """The words with the tokens that are most like the tokens of each word alone."""
    alone: list[str] = []
    owners: list[int] = []
    for index, text in enumerate(written):
        said = [*_tokens(text, frontend), " "]
        alone += said
        owners += [index] * len(said)
    ends = [0] * len(written)  # before which token each word ends
    match = SequenceMatcher(None, alone, list(tokens), autojunk=False)
    for _, from_alone, to_alone, start, end in match.get_opcodes():
        for token in range(start, end):
            share = (token - start) * (to_alone - from_alone) // (end - start)
            place = min(from_alone + share, len(owners) - 1)
            if is_sound(tokens[token]):
                ends[owners[place]] = token + 1
    start = 0
    for text, end in zip(written, ends, strict=True):
        yield text, start, max(start, end)
        start = max(start, end)


def _tokens(word: str, frontend: TextFrontend) -> list[str]:
    """The sounds of a word alone; none if there is nothing to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the sentence has given the same warnings
        try:
            return [token for token in frontend.tokens(word) if token == " " or is_sound(token)]
        except DataError:
            return []
