"""Voices of other languages: real texts become symbols, a model takes its table from them, is stored, and speaks."""

import csv
import warnings
from importlib.util import find_spec

import pytest
import torch

import amphion_core as amphion
from amphion_core import weights
from amphion_core.api import FrontendPart
from amphion_core.text.symbols import frontend_with_symbols
from amphion_tts import VITS

needs_espeak = pytest.mark.skipif(
    not all(map(find_spec, ("phonemizer", "espeakng_loader"))),
    reason='needs eSpeak NG: pip install "amphion-tts[espeak]"',
)
needs_pinyin = pytest.mark.skipif(
    not all(map(find_spec, ("pypinyin", "cn2an"))), reason='needs pypinyin: pip install "amphion-tts[chinese]"'
)
MANDARIN = [
    "今天天气很好，我们去公园吧。",
    "他在北京大学学习了三年。",
    "请问，这个多少钱？",
    "2024年我一共看了12本书！",
]
LANGUAGES = [
    pytest.param("espeak", "de", "kerstin_de", None, "Die Kinder spielen.", marks=needs_espeak),
    pytest.param("espeak", "es", "asterisk_multi", "es-MX", "La casa es grande.", marks=needs_espeak),
    pytest.param("espeak", "fr-fr", "asterisk_multi", "fr-CA", "Un bon restaurant.", marks=needs_espeak),
    pytest.param("espeak", "ru", "asterisk_multi", "ru-RU", "Это новый номер.", marks=needs_espeak),
    pytest.param("pypinyin", "cmn", None, None, "我们看书。", marks=needs_pinyin),
]


@pytest.fixture
def corpus(data_pack):
    """The texts of a folder of the data pack in one language."""

    def read(folder, code):
        if folder is None:
            return MANDARIN
        with (data_pack / folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return [row["text"] for row in csv.DictReader(file) if row["text"] and code in (None, row["lang"])]

    return read


@pytest.mark.parametrize(("name", "language", "folder", "code", "new"), LANGUAGES)
def test_a_voice_of_each_language_has_its_symbols_and_speaks(corpus, tmp_path, name, language, folder, code, new):
    texts = corpus(folder, code)
    assert len(texts) >= 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is left out
        full = FrontendPart.named(name, language=language).build()
        for text in texts:
            assert full.ids(full.tokens(text))
        part = frontend_with_symbols(FrontendPart.named(name, language=language, symbols=()), texts)
        assert len(part.config.symbols) < len(full.config.symbols)
        net = VITS(VITS.example_config().replace(frontend=part, vocabulary=None))
        voice = amphion.load(weights.save(net, tmp_path / "voice"))  # the table is inside
        assert voice.config.frontend.config.symbols == part.config.symbols
        frontend = voice.config.frontend.build()
        ids = frontend.ids(frontend.tokens(new))
    spoken = voice.synthesize(torch.tensor([ids]), torch.tensor([len(ids)]), torch.tensor([0]), seed=0)
    assert spoken.wave.shape[-1] > 0 and torch.isfinite(spoken.wave).all()


@needs_espeak
def test_sounds_that_english_lacks_are_in_the_table_of_other_languages():
    french = FrontendPart.named("espeak", language="fr-fr").build()
    assert "\u0303" in french.tokens("un bon vin blanc")  # nasal vowels
    assert len(FrontendPart.named("espeak").build().config.symbols) == 178
    assert len(FrontendPart.named("espeak", language="en-gb").build().config.symbols) == 178
    tones = FrontendPart.named("espeak", language="cmn").build().tokens("你好世界")
    assert any(symbol.isdigit() for symbol in tones)
