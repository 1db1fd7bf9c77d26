"""Mandarin: syllables, tones as they are spoken, numbers, Latin words, and what cannot be read."""

import sys
from importlib.util import find_spec

import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.api import FrontendPart
from amphion_core.errors import DataError, MissingPackage

needs_pinyin = pytest.mark.skipif(
    not all(map(find_spec, ("pypinyin", "cn2an"))), reason='needs pypinyin: pip install "amphion-tts[chinese]"'
)


@pytest.fixture(scope="module")
def frontend():
    return FrontendPart.named("pypinyin").build()


@needs_pinyin
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("你好，世界！", "n i2 h ao3 , sh iii4 j ie4 !"),
        ("我们不去北京。", "uo3 m en5 b u2 q v4 b ei3 j ing1 ."),
        ("好不好", "h ao3 b u5 h ao3"),
        ("不来", "b u4 l ai2"),
        ("一个，一天，第一，一起", "i2 g e4 , i4 t ian1 , d i4 i1 , i4 q i3"),
        ("看一看", "k an4 i5 k an4"),
        ("展览馆", "zh an2 l an2 g uan3"),
        ("我也很好", "uo2 ie3 h en2 h ao3"),
        ("重庆银行长大", "ch ong2 q ing4 in2 h ang2 zh ang3 d a4"),
        ("女儿绿色", "n v3 er2 l v4 s e4"),
        ("字日吃", "z ii4 r iii4 ch iii1"),
        ("臺灣", "t ai2 uan1"),
        ("嗯", "en2"),
        ("他说：“好……”", "t a1 sh uo1 : h ao3 ."),
    ],
)
def test_syllables_and_tones(frontend, text, tokens):
    assert " ".join(frontend.tokens(text)) == tokens
    assert frontend.ids(frontend.tokens(text))


@needs_pinyin
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2024年5月3日", "二零二四年五月三日"), ("2024-05-03", "二零二四年五月三日"), ("下午3:05", "下午三点零五分"),
        ("2:00", "两点"), ("涨了3.5%", "涨了百分之三点五"), ("气温-5℃", "气温负五摄氏度"), ("占1/2", "占二分之一"),
        ("1,234,567元", "一百二十三万四千五百六十七元"), ("¥1000.50", "一千点五零元"), ("$3万", "三万美元"),
        ("2个人", "两个人"), ("第2名", "第二名"), ("12个", "十二个"), ("3-5天", "三到五天"), ("10个", "十个"),
        ("13812345678", "一三八一二三四五六七八"), ("010-62345678", "零一零，六二三四五六七八"), ("007", "零零七"),
        ("12345678901234567890", "一二三四五六七八九零一二三四五六七八九零"), ("5公里", "五公里"), ("5km", "五公里"),
    ],
)  # fmt: skip
def test_numbers_are_read_in_chinese(frontend, text, words):
    assert frontend.tokens(text) == frontend.tokens(words)


@needs_pinyin
def test_latin_words_are_spelled_or_have_english_sounds(frontend):
    assert frontend.tokens("我用AI") == [*frontend.tokens("我用"), "ei1", "ai4"]
    collecting = FrontendPart.named("pypinyin", symbols=()).build()
    english = collecting.tokens("我用Python")
    assert english[-5:] == ["P", "AY1", "TH", "AA0", "N"]
    table = FrontendPart.named("pypinyin", symbols=("_", *dict.fromkeys(english))).build()
    assert table.tokens("我用Python") == english


@needs_pinyin
@pytest.mark.parametrize(
    ("text", "phones"), [("ni3 hao3", "n i3 h ao3"), ("n i3 | h ao3", "n i3 h ao3"), ("lü4 er2 zi5", "l v4 er2 z ii5")]
)
def test_stated_pinyin(frontend, text, phones):
    assert frontend.phones(text) == phones.split()


@needs_pinyin
@pytest.mark.parametrize("text", ["ni3 zhong9", "hello", "xyz1", ""])
def test_stated_pinyin_that_is_none_is_refused(frontend, text):
    with pytest.raises(DataError, match=r"unknown phone|no phones"):
        frontend.phones(text)


@needs_pinyin
@pytest.mark.parametrize(
    ("text", "problem"), [("你好привет", "not '你好привет'"), ("…。", "nothing to say"), ("々", "'々'")]
)
def test_what_cannot_be_read_is_named(frontend, text, problem):
    with pytest.raises(DataError, match=problem):
        frontend.tokens(text)


@needs_pinyin
def test_every_reading_of_every_character_is_in_the_table(frontend):
    from pypinyin.constants import PINYIN_DICT
    from pypinyin.contrib.tone_convert import to_tone3

    from amphion_tts.frontends.pinyin import PINYIN, split_syllable

    readings = {reading for text in PINYIN_DICT.values() for reading in text.split(",")}
    syllables = {to_tone3(reading, neutral_tone_with_five=True).replace("ü", "v") for reading in readings}
    assert len(syllables) > 1200
    assert {symbol for syllable in syllables for symbol in split_syllable(syllable)} <= {*PINYIN}


@needs_pinyin
@settings(max_examples=50, deadline=None)
@given(st.text("的一是不了我有大这中小好你以可水九百万点0123456789.,，。ABc", min_size=1, max_size=20))
def test_no_character_is_dropped(text):
    frontend = FrontendPart.named("pypinyin").build()
    syllables = sum(symbol[-1].isdigit() for symbol in frontend.tokens(f"好{text}"))
    assert syllables > sum("\u4e00" <= char <= "\u9fff" for char in text)


def test_without_pypinyin_the_error_names_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    with pytest.raises(MissingPackage) as caught:
        FrontendPart.named("pypinyin").build()
    assert caught.value.hint == 'pip install "amphion-tts[chinese]"'
