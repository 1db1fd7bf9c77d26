"""The tones of Mandarin syllables as they are spoken in a sentence: those of 一, 不, and of third tones in a row.

Source: Yuen Ren Chao: "A Grammar of Spoken Chinese" (1968), on tone sandhi. Deviation: a row of many third tones is
divided into feet of two syllables, and not by its words.
"""

_DIGITS = frozenset("〇零一二三四五六七八九十月号")
_NUMBERS_BEFORE = frozenset("〇零一二三四五六七八九十点第初")
_COUNTERS = frozenset("百千万亿")  # before these the tone of 一 changes, also after another digit


def spoken_tones(text: str, syllables: list[str]) -> list[str]:
    """The syllables, such as ``ni3``, of the characters of a clause, with the tones changed as in speech.

    >>> spoken_tones("你好", ["ni3", "hao3"])
    ['ni2', 'hao3']
    """
    found = [*syllables]
    for index, char in enumerate(text):
        following = syllables[index + 1][-1] if index + 1 < len(text) else ""
        if char == "不" and syllables[index] == "bu4":
            found[index] = "bu5" if _is_repeated(text, index) else "bu2" if following == "4" else "bu4"
        elif char == "一" and syllables[index].startswith("yi"):
            if _is_repeated(text, index):
                found[index] = "yi5"
            elif not following or _is_counted(text, index):
                found[index] = "yi1"
            else:
                found[index] = "yi2" if following == "4" else "yi4"
    return _third_tones(found)


def _is_repeated(text: str, index: int) -> bool:
    """Whether the same character stands on both sides, as in 好不好 and 看一看."""
    return 0 < index < len(text) - 1 and text[index - 1] == text[index + 1] and text[index - 1] not in _DIGITS


def _is_counted(text: str, index: int) -> bool:
    """Whether 一 is a number that is counted or read digit by digit, as in 第一, 十一 and 一月."""
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if after in _COUNTERS:
        return before == "第"
    return before in _NUMBERS_BEFORE or after in _DIGITS


def _third_tones(syllables: list[str]) -> list[str]:
    """In a row of third tones, all of a foot but the last become second tones."""
    found, start = [*syllables], 0
    while start < len(found):
        end = start
        while end < len(found) and found[end].endswith("3"):
            end += 1
        while end - start >= 2:
            size = 3 if end - start == 3 else 2
            for index in range(start, start + size - 1):
                found[index] = f"{found[index][:-1]}2"
            start += size
        start = max(end, start) + 1
    return found
