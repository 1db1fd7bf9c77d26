"""International phonetic alphabet by eSpeak NG, for many languages. Needs the extra ``amphion-tts[espeak]`` (GPL-3).

Each Unicode code point of the decomposed (NFD) transcription is one symbol, and punctuation stands between clauses: the
stream that Piper's voices and most public VITS models were trained on. English is normalised first; for other languages
eSpeak reads numbers and abbreviations itself.
"""

import warnings
from typing import Any

from pydantic import Field

from amphion_core.api import FrontendConfig, TextFrontend
from amphion_core.errors import DataError, MissingPackage, nearest
from amphion_core.text import clean, normalize_english, plain_marks

PUNCTUATION = ';:,.!?¡¿—…"«»“”'
IPA = (
    "_", *';:,.!?¡¿—…"«»“” ', *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    *"ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘",
    "'", "\u0329", "'", "ᵻ",
)  # fmt: skip
"""The 178 symbols of the authors' VITS models: padding, punctuation, letters, IPA; the apostrophe stands twice."""


class Espeak(TextFrontend):
    """Text -> IPA code points and punctuation."""

    class Config(FrontendConfig):
        """The default table is that of the authors' VITS models."""

        language: str = Field(default="en-us", description="voice of eSpeak NG, such as en-us, de, es-419")
        symbols: tuple[str, ...] = Field(
            default=IPA, description="every symbol the model knows; the id is the position"
        )
        blank: str | None = Field(default="_", description="symbol put between all others; null: none")

    config: Config

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without the extra, DataError for a language eSpeak lacks."""
        super().__init__(config)
        self._backend = _backend(config.language)

    def tokens(self, text: str) -> list[str]:
        """The transcription's code points. Symbols for tones or marks that the table lacks are left out with a warning.

        Raises DataError when nothing can be said.
        """
        import unicodedata

        text = plain_marks(clean(text)).replace("\n", " ")
        if self.config.language.startswith("en"):
            text = normalize_english(text)  # eSpeak would pause at the stop of "Dr." and the colon of "10:30"
        if not any(char.isalnum() for char in text):
            raise DataError(f"there is nothing to say in {text[:40]!r}", hint="give a text with letters")
        spoken = self._backend.phonemize([text], strip=True)[0]
        found = list(unicodedata.normalize("NFD", spoken))
        known = frozenset(self.config.symbols)
        letters = [char for char in found if char in known or char.isalpha()]
        if dropped := sorted(
            {char for char in found if char not in known and not char.isalpha() and not char.isspace()}
        ):
            shown = " ".join(f"U+{ord(char):04X}" for char in dropped)
            warnings.warn(f"left out marks that the model does not know: {shown}", UserWarning, stacklevel=2)
        if not any(char.isalpha() for char in letters):
            raise DataError(f"eSpeak ({self.config.language}) finds nothing to say in {text[:40]!r}")
        return letters


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
            hint=f"did you mean {close}?" if close else "such as en-us, de, fr-fr, es",
        )
    return EspeakBackend(
        language, preserve_punctuation=True, punctuation_marks=PUNCTUATION, with_stress=True,
        language_switch="remove-flags", words_mismatch="ignore", logger=quiet,
    )  # fmt: skip
