"""Join the lines of wrapped prose, and keep apart paragraphs, list items and other lines that are complete.

A line of wrapped prose has no room for the first word of the next line. This and the letter that the next line begins
with decide; no language is needed.
"""

import re
import unicodedata
from itertools import pairwise

_PARAGRAPH = re.compile(r"\n\s*\n|[\f\u2029]")
_LINE = re.compile(r"\r\n|[\n\r\v\u0085\u2028]")
_MARKER = re.compile(r"\s*(?:[-*+•‣◦▪·–—]\s|#+\s|>\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]\s|\d{1,3}\s*[-–:]\s)")
_NARROW = 40  # characters; prose is seldom wrapped at less, lists and poems often have shorter lines
_NARROW_WIDE = 20  # the same for Chinese and Japanese characters, which are twice as wide


def paragraphs(text: str) -> list[list[str]]:
    """The complete lines of each paragraph of ``text``; wrapped prose is one line. Paragraphs are never empty.

    A blank line or a form feed separates paragraphs. Only white space is removed or changed.
    """
    text = re.sub(r"\r\n?", "\n", text)
    found = []
    for paragraph in _PARAGRAPH.split(text):
        if lines := [line.rstrip() for line in _LINE.split(paragraph) if line.strip()]:
            found.append(_joined(lines))
    return found


def _joined(lines: list[str]) -> list[str]:
    """The lines of one paragraph, joined where the break is one of wrapped prose."""
    width = max(map(len, lines))
    first = [_first_letter(line) for line in lines]
    upper, lower = any(map(str.isupper, first)), any(map(str.islower, first))
    full = all(_is_full(line, after, width) for line, after in pairwise(lines))
    listed = any(map(_MARKER.match, lines))
    found = [lines[0]]
    for before, line, letter in zip(lines, lines[1:], first[1:], strict=False):
        if _MARKER.match(line):
            joins = False
        elif (listed and line[0].isspace()) or before.endswith((",", ";")):
            joins = True
        elif upper and lower:  # prose, in which only a short line before an upper letter is complete, such as a title
            short = len(before) + 1 + len(line.split(maxsplit=1)[0]) <= 0.6 * width
            joins = letter.islower() or width < _NARROW or not short
        elif upper:
            joins = full and width >= _NARROW
        elif lower:
            joins = full
        else:
            joins = _is_full(before, line, width) and width >= (_NARROW_WIDE if _is_wide(line) else _NARROW)
        if joins:
            hyphen = found[-1].endswith("-") and found[-1][-2:-1].isalpha() and line.lstrip()[0].isalpha()
            found[-1] += ("" if hyphen else " ") + line.lstrip()
        else:
            found.append(line)
    return [" ".join(line.split()) for line in found]


def _is_full(line: str, following: str, width: int) -> bool:
    """Whether the first word of the following line (in Chinese, its first character) would not have fitted."""
    room = 2 if _is_wide(following) else 1 + len(following.split(maxsplit=1)[0])
    return len(line) + room > width


def _is_wide(line: str) -> bool:
    """Whether a line begins with a character of a script that has no spaces, such as Chinese."""
    return unicodedata.east_asian_width(line.lstrip()[0]) in "WF"


def _first_letter(line: str) -> str:
    """The letter that decides whether a line begins in lower case; empty where it begins with a digit."""
    for char in line:
        if char.isalnum():
            return char if char.isalpha() else ""
    return ""
