r"""The markup of texts: ``[pause 0.5]`` is silence in seconds, and ``/HH AH0 L OW1/`` are phones of the voice.

``\[`` and ``\/`` are the characters themselves. Slashes of ordinary texts, as in ``and/or``, ``km/h``, ``1/2`` and
``/usr/lib``, stay as they are: phones stand between two slashes that no letter or digit touches from outside, and each
is a phone of the voice. Where they could be a word they are one: phones of single characters, such as IPA, are not all
ASCII (``/ˈbed/`` are phones, ``/bed/`` is a word), and other phones have a capital letter or a digit.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amphion_core.errors import DataError, shortened

if TYPE_CHECKING:
    from amphion_core.api import TextFrontend

PAUSE = "\ud800"  # stands for a pause in a marked text. Texts have no such character: ``check_text`` refuses it
PHONES = "\0"  # stands for a word whose phones are stated
WIDTH = "\u2060"  # follows a stand-in for each further character that it replaces: the width of lines decides on breaks
LONGEST_PAUSE = 60.0  # seconds
PAUSE_HINT = f"write [pause 0.5], with 0 to {LONGEST_PAUSE:g} seconds; \\[ is a bracket that belongs to the text"

SPACELESS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # kana, Chinese, Hangul: spaces do not separate all words
_BEFORE = rf"\s(\[{{\"'“‘«„¿¡—–\u3001-\u303f\uff01-\uff60{SPACELESS}-"  # what may stand before and after phones
_AFTER = rf"\s.,;:!?…)\]}}\"'”’»—–\u3001-\u303f\uff01-\uff60{SPACELESS}-"
_MARKUP = re.compile(
    r"\\(?P<escaped>[\[/])"
    r"|\[pause(?=[\s\]]|\Z)(?P<length>[^\]]{0,40})(?P<closed>\]?)"
    rf"|(?<![^{_BEFORE}])/(?=[^\s/])(?P<phones>[^/]{{1,300}})(?<=\S)/(?![^{_AFTER}])",
    re.I,
)
_SIGN = re.compile(r"[^\Wa-z_]")  # a capital letter, a digit or a letter that is not ASCII
_LENGTH = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|ms)?\s*", re.I)
_STRESSED = re.compile(r"[A-Z]{2}[012]", re.I)  # a vowel of ARPAbet
_SHORT = re.compile(r"[A-Z]{1,3}\d?|[|,.;:!?-]", re.I)


@dataclass(frozen=True, slots=True)
class Phones:
    """The phones of a word: ``text`` as the user wrote it, and the symbols of the frontend.

    ``is_word`` is False where the user wrote phones and no word.
    """

    text: str
    tokens: tuple[str, ...]
    is_word: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """A text in which ``PAUSE`` and ``PHONES`` stand for ``pauses`` (seconds) and ``phones``, in their order.

    ``WIDTH`` after them keeps the lines as long as they were.
    """

    text: str
    pauses: tuple[float, ...] = ()
    phones: tuple[Phones, ...] = ()


def read_markup(text: str, frontend: "TextFrontend", *, slashes: bool = True) -> Marked:
    """Read the pauses, the phones between slashes (unless ``slashes`` is False), and the escapes of a text.

    Raises DataError with the position of a pause without seconds, and of phones of which the voice lacks one.
    """
    written: list[str] = []
    pauses: list[float] = []
    phones: list[Phones] = []
    position = 0
    while match := _MARKUP.search(text, position):
        written.append(text[position : match.start()])
        position = match.end()
        if match["escaped"]:
            written.append(match["escaped"])
        elif match["phones"] is None:
            pauses.append(_seconds(text, match))
            written.append(PAUSE + WIDTH * (len(match[0]) - 1))
        elif slashes and (tokens := _phones(text, match, frontend)):
            phones.append(Phones(match[0], tuple(tokens)))
            written.append(PHONES + WIDTH * (len(match[0]) - 1))
        else:
            written.append("/")
            position = match.start() + 1
    return Marked("".join(written) + text[position:], tuple(pauses), tuple(phones))


def _seconds(text: str, match: re.Match[str]) -> float:
    length = _LENGTH.fullmatch(match["length"])
    seconds = float(length[1]) / (1000 if (length[2] or "").lower() == "ms" else 1) if length else -1.0
    if not match["closed"] or not 0 <= seconds <= LONGEST_PAUSE:
        what = "has no end" if not match["closed"] else "states no length" if length is None else "is too long"
        raise DataError(f"{shortened(match[0], 40)!r} {_where(text, match.start())} {what}", hint=PAUSE_HINT)
    return seconds


def _phones(text: str, match: re.Match[str], frontend: "TextFrontend") -> list[str]:
    """The phones between two slashes; none where the slashes and what is between them are ordinary text."""
    content = match["phones"]
    is_meant = _is_arpabet(content) or bool(set(content) & set("ˈˌː"))
    if not is_meant and (content.isascii() if _is_written_together(frontend) else not _SIGN.search(content)):
        return []
    try:
        return frontend.phones(content)
    except DataError as error:
        if is_meant:
            raise DataError(
                f"the phones {_where(text, match.start())} are not all phones of the voice: {error.message}",
                hint=f"{error.hint}; \\/ is a slash that belongs to the text",
            ) from error
        return []


def _is_written_together(frontend: "TextFrontend") -> bool:
    """Whether each phone of a frontend is one character."""
    config = frontend.config
    return all(len(symbol) == 1 for symbol in {*config.symbols} - {config.blank, config.begin, config.end})


def _is_arpabet(content: str) -> bool:
    """Whether a text looks like phones of ARPAbet, perhaps with a mistake."""
    items = content.split()
    return any(map(_STRESSED.fullmatch, items)) and all(map(_SHORT.fullmatch, items))


def _where(text: str, position: int) -> str:
    """The position in words, with the line where the text has several."""
    before = text[:position].split("\n")
    line = f"of line {len(before)}" if "\n" in text.strip() else ""
    return f"at character {len(before[-1]) + 1} {line}".rstrip()
