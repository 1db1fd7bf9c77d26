"""Find the words of a text whose script a voice of eSpeak cannot read.

eSpeak spells such a word, as "Chinese letter, Chinese letter", or says the codes of its characters. Whether it reads a
script is tried once, on a sample word, so that no table of languages is needed. Where it spells the sample, which may
have letters that the language lacks, the word itself decides.
"""

import unicodedata
from collections.abc import Callable, Iterator

_SAMPLES = {
    "LATIN": "hello", "CYRILLIC": "привет", "GREEK": "γεια", "ARABIC": "مرحبا", "HEBREW": "שלום", "DEVANAGARI": "नमस्ते",
    "BENGALI": "নমস্কার", "GURMUKHI": "ਸਤਿ", "GUJARATI": "નમસ્તે", "ORIYA": "ନମସ୍କାର", "TAMIL": "வணக்கம்", "TELUGU": "నమస్కారం",
    "KANNADA": "ನಮಸ್ಕಾರ", "MALAYALAM": "നമസ്കാരം", "SINHALA": "ආයුබෝවන්", "THAI": "สวัสดี", "LAO": "ສະບາຍດີ",
    "MYANMAR": "မင်္ဂလာပါ", "KHMER": "ជំរាបសួរ", "GEORGIAN": "გამარჯობა", "ARMENIAN": "բարեւ", "ETHIOPIC": "ሰላም",
    "HANGUL": "안녕", "HIRAGANA": "こんにちは", "KATAKANA": "カタカナ", "CJK": "中国", "BOPOMOFO": "ㄋㄧ",
}  # fmt: skip
_SYLLABLES = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "ETHIOPIC")  # a letter may be a word
_NAMED = ("GREEK",)  # a single letter of these is a symbol with a name, as in "the angle α"
_TRIED = 16  # letters of a word that are tried; eSpeak cuts long words short
_NAMES = {"CJK": "Chinese", "ORIYA": "Odia"}


class ReadableScripts:
    """What one voice reads. ``speak`` gives the transcription of a word."""

    def __init__(self, speak: Callable[[str], str]) -> None:
        self._speak = speak
        self._known: dict[str, bool] = {}

    def unreadable(self, text: str) -> dict[str, list[str]]:
        """The words that the voice cannot read, by the name of their script, such as ``{"Chinese": ["中国"]}``."""
        found: dict[str, list[str]] = {}
        if text.isascii() and self._reads("LATIN", ""):
            return found
        for script, word in _words(text):
            letters = _letters(word)
            if script in _NAMED and letters == 1:
                continue
            if script == "LATIN" and (letters == 1 or word.isupper()):  # spelled in every language
                continue
            if not self._reads(script, word) and self._spells(script, word[:_TRIED]):
                found.setdefault(_NAMES.get(script, script.capitalize()), []).append(word)
        return {script: list(dict.fromkeys(words)) for script, words in found.items()}

    def _spells(self, script: str, word: str) -> bool:
        """Whether the voice spells a word of a script of which it spells the sample."""
        return script in _SYLLABLES or _letters(word) == 1 or _is_spelled(word, self._speak(word), script)

    def _reads(self, script: str, word: str) -> bool:
        if script not in self._known:
            sample = _SAMPLES.get(script, word[:_TRIED])
            self._known[script] = not _is_spelled(sample, self._speak(sample), script)
        return self._known[script]


def _is_spelled(word: str, sounds: str, script: str) -> bool:
    """Whether ``sounds`` are those of single letters: as many words, or as many stresses, as there are letters."""
    groups, letters = sounds.split(), _letters(word)
    if not groups:
        return True
    if script in _SYLLABLES:
        return letters > 1 and len(groups) >= letters and (len(set(groups)) == 1 or script == "ETHIOPIC")
    return letters > 1 and (len(groups) >= letters or sounds.count("ˈ") >= letters)


def _words(text: str) -> Iterator[tuple[str, str]]:
    """(script, word) for each run of letters of one script, with their marks."""
    script, word = "", ""
    for char in text:
        kind = unicodedata.category(char)
        if kind.startswith("M") and word:
            word += char
            continue
        own = _script(char) if kind.startswith("L") and kind != "Lm" else ""
        if own != script and word:
            yield script, word
            word = ""
        script = own
        if own:
            word += char
    if word:
        yield script, word


def _script(char: str) -> str:
    if char.isascii():
        return "LATIN"
    return unicodedata.name(char, "UNKNOWN").replace("-", " ").split()[0]


def _letters(word: str) -> int:
    return sum(unicodedata.category(char).startswith("L") for char in word)
