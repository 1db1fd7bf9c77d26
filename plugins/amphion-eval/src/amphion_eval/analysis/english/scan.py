"""The state while an English text is read from left to right: what was read before, and what follows."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from amphion_eval.analysis.english.words import Beside
from amphion_eval.analysis.readings import Span

_NEXT = re.compile(r"([\s.,;:!?'\"()\-]{0,4})(\w{1,40})")


@dataclass(slots=True)
class Scan:
    """``before``: the last word or number as written; ``number``: the digits of the last number, "" after a word."""

    text: str
    heard: bool
    before: str = ""
    number: str = ""
    spans: list[Span] = field(default_factory=list)
    caseless: bool = field(init=False)

    def __post_init__(self) -> None:
        self.caseless = self.heard or not any(map(str.isupper, self.text))

    def beside(self, found: re.Match[str]) -> Beside:
        """What stands beside a match. A stop after it counts; one before an empty rest of the text too."""
        end = found.end()
        following = _NEXT.match(self.text, end)
        stop = found[0].endswith(".") or self.text[end : end + 1] == "."
        hyphen = self.text[end : end + 1] in ("-", "‐", "‑")
        paused = following is not None and any(mark in following[1] for mark in ",;:!?")
        after = following[2] if following else ""
        return Beside(self.before, after, stop, self.heard, self.caseless, hyphen, paused)

    def spaced(self, found: re.Match[str]) -> bool:
        """Whether a match begins the text or follows a space, an opening bracket or an opening quotation mark."""
        return found.start() == 0 or self.text[found.start() - 1] in " \u00a0\n\t([{\"'“‘=<>~±"


Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Scan], list[Span] | None]]
"""A pattern, and the function that makes spans of a match; None if the rule does not fit after all."""
