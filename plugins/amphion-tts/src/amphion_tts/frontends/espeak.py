"""International phonetic alphabet by eSpeak NG, for many languages. Needs the extra ``amphion-tts[espeak]`` (GPL-3).

Each Unicode code point of the decomposed (NFD) transcription is one symbol, and punctuation is kept between clauses.
Piper's voices and most public VITS models were trained on such symbols. English texts are normalised first; in other
languages eSpeak reads numbers and abbreviations itself.
"""

import re
import textwrap
import unicodedata
import warnings
from typing import Any

from pydantic import Field, model_validator

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError, MissingPackage, nearest
from amphion_core.text import clean, normalize_english, plain_marks, sentence_ends
from amphion_core.text.abbreviations import stops
from amphion_core.text.symbols import described, in_table_forms
from amphion_tts.frontends.numbers import HARD_SPACES, plain_numbers
from amphion_tts.frontends.scripts import ReadableScripts

_READ_BY_ESPEAK = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞²³№ºª\u200c\u200d"  # NFKC would make 2½ the number 21⁄2, and № the word No
PUNCTUATION = ';:,.!?¡¿—…"«»“”'
IPA = (
    "_", *';:,.!?¡¿—…"«»“” ', *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    *"ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘",
    "'", "\u0329", "'", "ᵻ",
)  # fmt: skip
"""The 178 symbols of the published VITS models: padding, punctuation, letters, IPA. The apostrophe occurs twice."""
IPA_WITH_MARKS = (*IPA, *"\u0303^\u0308\u030a\u0324\u0325\u0330\u031a\u031d\u031e\u032a\u0361", *"1234567")
"""The same symbols, and what other languages need: nasal vowels, other marks of letters, and tones by their numbers."""

_MARK = f"[{re.escape(PUNCTUATION)}]"
_BREAK = re.compile(rf"(\s*(?<!\d){_MARK}(?:{_MARK}|\s)*|\s*{_MARK}(?!\d)(?:{_MARK}|\s)*)")
"""Punctuation between two clauses with the white space around it. The marks inside 1.500, 3,50 and 14:30 are none."""

_WIDE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # kana, Chinese, Hangul
_MIXED = re.compile(rf"(?<=[{_WIDE}])(?=[A-Za-z])|(?<=[A-Za-z])(?=[{_WIDE}])|(?<=[A-Za-z]\d)(?=[{_WIDE}])")
"""Where a word changes to or from Latin letters: eSpeak drops the "T" of "Tシャツ" and the "4" of "A4纸"."""
_MINUS = re.compile(r"(?<![\w.,)%°-])-(?=\d)")  # eSpeak says nothing for it in "(-5)", in some languages nowhere
_MINUS_WORDS = {
    "de": "minus ", "fr": "moins ", "es": "menos ", "it": "meno ", "pt": "menos ", "ca": "menys ", "ro": "minus ",
    "nl": "min ", "sv": "minus ", "da": "minus ", "nb": "minus ", "fi": "miinus ", "et": "miinus ", "lt": "minus ",
    "lv": "mīnus ", "pl": "minus ", "cs": "minus ", "sk": "mínus ", "sl": "minus ", "hr": "minus ", "sr": "minus ",
    "bs": "minus ", "hu": "mínusz ", "tr": "eksi ", "el": "μείον ", "ru": "минус ", "uk": "мінус ", "be": "мінус ",
    "bg": "минус ", "ar": "ناقص ", "hi": "माइनस ", "cmn": "负", "ja": "マイナス", "ko": "마이너스 ",
}  # fmt: skip
LONGEST_WORD = 100  # letters; of a longer word, eSpeak says some 130
LONGEST_CLAUSE = 200  # characters; of a longer clause, eSpeak says some 1,000 sounds
_LONG_NUMBER = re.compile(r"\d{16,}")  # eSpeak says at most 31 digits of a number, and from 13 on one by one
_LONG_WORD = re.compile(r"\S{34,}")
_FORGOTTEN_SPACE = re.compile(r"[^\W\d_]{2}\.[A-ZÀ-ÖØ-Þ][^\W\d_]")
_ORDINAL = re.compile(r"(?<![\w.,])\d{1,2}\. [^\W\d_](?=[^\W\d_])")


class Espeak(TextFrontend):
    """Text -> IPA code points and punctuation."""

    needs_packages = ("phonemizer",)

    class Config(FrontendConfig):
        """The language and the symbol table: by default that of the published VITS models, for English.

        For other languages, the marks of their sounds follow, such as that of French nasal vowels.
        """

        language: str = Field(default="en-us", description="voice of eSpeak NG, such as en-us, de, es-419")
        symbols: tuple[str, ...] = Field(
            default=IPA, description="all symbols that the model knows; the position of a symbol is its id"
        )
        blank: str | None = Field(default="_", description="symbol inserted between all others; null: none")

        @model_validator(mode="before")
        @classmethod
        def _table_of_the_language(cls, values: Any) -> Any:
            if not isinstance(values, dict) or "symbols" in values:
                return values
            english = str(values.get("language", "en")).startswith("en")
            return values if english else {**values, "symbols": IPA_WITH_MARKS}

    config: Config

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without the extra, and DataError for a language that eSpeak does not know."""
        super().__init__(config)
        self._voice = _OTHER_CODES.get(config.language, config.language)
        self._backend = _backend(self._voice)
        self._scripts = ReadableScripts(lambda word: str(self._spoken([word])[0]))
        self._silent: dict[str, bool] = {}

    def tokens(self, text: str) -> list[str]:
        """The code points of the transcription. Marks outside the table, such as tones, are removed with a warning.

        An empty table takes all symbols. Raises DataError for a text, or a part of a text, that eSpeak cannot speak.
        Words of a script that the voice does not read are named in the message.
        """
        text = self._prepared(text)
        if not any(char.isalnum() for char in text):
            raise DataError(f"there is nothing to say in {text[:40]!r}", hint="give a text with letters")
        self._check(text)
        known = frozenset(self.config.symbols)
        found = in_table_forms(self._transcribe(text), known, ("NFD", "NFC"))
        if not known:  # the table is being collected
            return [char for char in found if char != "-"]
        letters = [char for char in found if char in known or char.isalpha()]
        dropped = {char for char in found if char not in known and not char.isalpha() and not char.isspace()}
        if dropped := dropped - {"-"}:  # a hyphen joins words, as in French; it has no sound
            shown = described(sorted(dropped), most=20)
            warnings.warn(f"removed marks that the model does not know: {shown}", UserWarning, stacklevel=2)
        return letters

    def phones(self, text: str) -> list[str]:
        """The code points of an IPA transcription, such as ``həlˈoʊ wˈɜːld``. The g of keyboards is the IPA's ɡ.

        Raises DataError with the first phone that the table lacks and its position.
        """
        text = unicodedata.normalize("NFD", text)
        return super().phones(text.replace("g", "ɡ") if "ɡ" in self.config.symbols else text)

    def _prepared(self, text: str) -> str:
        """The text as eSpeak should get it: English in words, other languages with their own digits and fractions."""
        if self.config.language.startswith("en"):
            return normalize_english(text)  # eSpeak would pause after "Dr." and at the colon of "10:30"
        if self.config.language.startswith("el"):
            text = text.replace("\u037e", "?").replace(";", "?")  # the Greek question mark
        code = self._voice.partition("-")[0]
        text = plain_marks(clean(text, keep=_READ_BY_ESPEAK + HARD_SPACES)).replace("\n", " ")
        text = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
        text = plain_numbers(_MIXED.sub(" ", text), code)
        return _MINUS.sub(_MINUS_WORDS.get(code, "−"), text)

    def _check(self, text: str) -> None:
        """Raise DataError for words that eSpeak would spell, and warn of symbols for which it says nothing."""
        if unread := self._scripts.unreadable(text):
            words = [f"{script} {', '.join(repr(word[:20]) for word in words[:5])}" for script, words in unread.items()]
            raise DataError(
                f"eSpeak's voice {self.config.language} does not read {'; '.join(words)}; it would spell the letters",
                hint="write those words with the letters of the voice's language, or use a voice that speaks theirs",
            )
        symbols = {char for char in text if unicodedata.category(char) in ("Sc", "Sm") or char in "%‰‱°§&@"}
        if silent := sorted(char for char in symbols - set("<>|~") if self._is_silent(char)):
            message = f"eSpeak ({self.config.language}) says nothing for {described(silent)}; write it as a word"
            warnings.warn(message, UserWarning, stacklevel=3)

    def _is_silent(self, symbol: str) -> bool:
        """Whether eSpeak says nothing for a symbol between two numbers."""
        if symbol not in self._silent:
            without, with_symbol = (self._spoken([text])[0].split() for text in ("5 5", f"5 {symbol} 5"))
            self._silent[symbol] = "".join(without) == "".join(with_symbol)
        return self._silent[symbol]

    def _spoken(self, texts: list[str]) -> list[str]:
        """The transcription of each text, without the marks of eSpeak for a change of the language."""
        return list(self._backend.phonemize(texts, strip=True))

    def _transcribe(self, text: str) -> str:
        """The transcription of ``text``, clause by clause, with the punctuation and the spaces between clauses kept.

        Each clause is given to eSpeak separately, so that its transcription cannot be confused with that of another.
        """
        pieces = self._clauses(text)
        clauses = {piece: _within_limits(piece) for piece in pieces[::2] if piece.strip()}
        parts = [part for found in clauses.values() for part in found]
        sounds = dict(zip(parts, self._spoken(parts), strict=True))
        for part in parts:
            if any(map(str.isalnum, part)) and not any(map(str.isalpha, sounds[part])):
                raise DataError(
                    f"eSpeak ({self.config.language}) finds nothing to say in {part.strip()[:40]!r}",
                    hint="write that part of the text in words, or leave it out",
                )
        spoken = {clause: " ".join(sounds[part] for part in found) for clause, found in clauses.items()}
        joined = "".join(piece if index % 2 else spoken.get(piece, "") for index, piece in enumerate(pieces))
        return " ".join(joined.split())

    def _clauses(self, text: str) -> list[str]:
        """The text as clause, mark, clause, mark, ..., clause. The full stop of an abbreviation is no mark."""
        ends = set(sentence_ends(text, self.config.language))
        pieces, start = [], 0
        for match in _BREAK.finditer(text):
            stop = match.start() + match[0].find(".")
            inside = match[0].strip() == "." and match.end() < len(text) and stop + 1 not in ends
            if inside and not _FORGOTTEN_SPACE.match(text, stop - 2):
                continue
            pieces += [text[start : match.start()], match[0]]
            start = match.end()
        pieces.append(text[start:])
        if stops(self.config.language).ordinals:  # eSpeak reads "3. mai" as an ordinal, and "3. Mai" not
            pieces[::2] = [_ORDINAL.sub(lambda found: found[0].lower(), clause) for clause in pieces[::2]]
        return pieces


def _within_limits(clause: str) -> list[str]:
    """The clause in pieces of which eSpeak says everything: it cuts long words, numbers and clauses short."""
    clause = _LONG_NUMBER.sub(lambda match: " ".join(match[0]), clause)
    clause = _LONG_WORD.sub(_shorter_words, clause)
    return textwrap.wrap(clause, LONGEST_CLAUSE, break_long_words=False, break_on_hyphens=False)


def _shorter_words(match: re.Match[str]) -> str:
    dense = sum(not char.isalnum() for char in match[0]) > len(match[0]) // 4
    size = LONGEST_WORD // 3 if dense else LONGEST_WORD  # a symbol has many sounds
    return " ".join(match[0][start : start + size] for start in range(0, len(match[0]), size))


_OTHER_CODES = {
    "fr": "fr-fr", "en": "en-gb", "no": "nb", "zh": "cmn", "zh-cmn": "cmn", "zh-yue": "yue", "pt-pt": "pt",
    "es-mx": "es-419",
}  # fmt: skip
"""Codes by which eSpeak itself finds a voice, and the code that phonemizer knows. Piper's French voices state fr."""


def _backend(language: str) -> Any:
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        raise MissingPackage(
            f"phonemes for {language} need eSpeak NG, which is not installed", hint='pip install "amphion-tts[espeak]"'
        ) from error
    import logging

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    quiet = logging.getLogger("amphion.espeak")
    quiet.addHandler(logging.NullHandler())
    quiet.setLevel(logging.ERROR)
    languages = EspeakBackend.supported_languages()
    if language not in languages:
        close = nearest(language, languages)
        raise DataError(
            f"eSpeak NG has no voice {language!r}",
            hint=f"did you mean {close}?" if close else "use a voice such as en-us, de, fr-fr or es",
        )
    return EspeakBackend(
        language, punctuation_marks=re.compile("(?!)"), with_stress=True,  # one text in, one transcription out
        language_switch="remove-flags", words_mismatch="ignore", logger=quiet,
    )  # fmt: skip
