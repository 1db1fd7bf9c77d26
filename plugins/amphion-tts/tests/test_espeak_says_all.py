"""The eSpeak frontend says the whole text in every language: eSpeak itself, on each clause alone, is the reference."""

import csv
import re
import unicodedata
import warnings
from functools import cache
from importlib.util import find_spec

import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.api import FrontendPart
from amphion_core.errors import DataError
from amphion_tts.frontends.numbers import plain_numbers

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("phonemizer", "espeakng_loader"))),
    reason='needs eSpeak NG: pip install "amphion-tts[espeak]"',
)
LANGUAGES = ("de", "es", "it", "nl", "pt", "pt-br", "tr", "fr-fr", "ru", "pl", "sv", "cs", "hu", "fi", "el", "hi")
ITEMS = (  # each is one clause with something to say in all languages, and ends in no ordinal and no initial
    "1.500", "3,50", "1.234.567", "2.0", "14:30", "24.12.2020", "2020-12-24", "5 %", "3,5%", "1.500,75 €",
    "(7)", "[8]", "1/2", "10-150", "A & Lima", "Roma", "1) 200", "007", "1 000",
)  # fmt: skip
MARKS = (". ", ", ", "! ", "? ", "... ", "… ", ": ", "; ", " - ", ' "', '" ', ") ", ". \n", "?! ", ".\n\n")


@cache
def frontend(language):
    return FrontendPart.named("espeak", language=language).build()


def sounds(language, text):
    """The transcription without punctuation, spaces and marks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # marks that the English table lacks
        tokens = unicodedata.normalize("NFD", "".join(frontend(language).tokens(text)))
    return [char for char in tokens if char.isalpha()]


def reference(language, clause):
    """What eSpeak's own library says for one clause, without this project's and phonemizer's handling of marks."""
    raw = frontend(language)._backend._espeak.text_to_phonemes(clause, None)
    decomposed = unicodedata.normalize("NFD", re.sub(r"\(.+?\)", "", raw))
    return [char for char in decomposed if char.isalpha()]


def without_thousands(item, language):
    """The number as eSpeak needs it: without spaces between thousands, in some languages without dots."""
    item = item.replace("1 000", "1000")
    return re.sub(r"\.(?=\d{3}(?!\d))", "", item) if language in ("cs", "hu") else item


def test_the_sentences_of_the_shared_cases_are_said_to_the_end(data_pack):
    table = data_pack.parent / "cases" / "text_other_languages.tsv"
    if not table.exists():
        pytest.skip(f"needs {table}")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) >= 7
    for row in rows:
        clauses = re.split(r", |\.$", row["text"])
        expected = [sound for clause in clauses if clause for sound in reference(row["language"], clause)]
        assert sounds(row["language"], row["text"]) == expected, row


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=12, deadline=None)
@given(
    words=st.lists(st.tuples(st.sampled_from(ITEMS), st.sampled_from(MARKS)), min_size=1, max_size=6),
    end=st.sampled_from(("", ".", "!", "...", '."')),
)
def test_each_clause_of_any_text_is_said_as_eSpeak_says_it_alone(language, words, end):
    text = "".join(item + mark for item, mark in words) + "Lima" + end
    clauses = [without_thousands(item, language) for item, _ in words] + ["Lima"]
    expected = [sound for clause in clauses for sound in reference(language, clause)]
    said = sounds(language, text)
    if any(mark in (" - ", ") ", '" ', ' "') for _, mark in words):  # one clause: eSpeak may join its words
        assert len(said) >= 0.6 * len(expected), (text, said)
    else:
        assert said == expected, (text, said)


@pytest.mark.parametrize(("text", "pattern"), [
    ("Ja, nein. Gut!", r"[^,.!]+, [^,.!]+\. [^,.!]+!"),
    ("Hat 1.500 Einwohner, gut.", r"[^,.!]+, [^,.!]+\."),
    ('"Ja", sagte er: "Nein."', r'"[^,.!]+", [^,.!]+: "[^,.!]+\."'),
    ("Er ging ... und kam.", r"[^,.!]+ \.\.\. [^,.!]+\."),
    ("Wie? So!", r"[^?!]+\? [^?!]+!"),
])  # fmt: skip
def test_punctuation_keeps_its_position_between_the_words(text, pattern):
    assert re.fullmatch(pattern, "".join(frontend("de").tokens(text)))


@pytest.mark.parametrize(("language", "text", "whole"), [
    ("de", "Am 3. Mai", "am dritten Mai"), ("de", "der 2. Weltkrieg", "der zweite Weltkrieg"),
    ("de", "2½", "zwei einhalb"), ("de", "soft\u00adware", "software"), ("de", "٣ und ३", "drei und drei"),
    ("de", "(-5)", "minus fünf"), ("fr-fr", "il fait -5", "il fait moins cinq"), ("es", "son -5", "son menos cinco"),
    ("ru", "это -5", "это минус пять"), ("de", "№ 5", "Numero fünf"), ("ja", "Tシャツ", "T シャツ"),
    ("cmn", "A4纸", "A4 纸"), ("de", "Er kam.Dann", "er kam dann"),
    ("es", "12 500", "12500"), ("it", "1 000 000", "1000000"), ("ru", "1\u202f500", "1500"),
    ("pt", "1 234 567", "1234567"),
    ("cs", "1.500", "1500"), ("hu", "1.234.567,5", "1234567,5"), ("hr", "24.12.2020", "24.12.2020"),
    ("uk", "3,50", "3 кома 5 0"), ("ja", "3.5です", "3てん5 です"), ("ko", "3.14", "3 점 1 4"), ("ko", "1,500", "1500"),
    ("cmn", "是3.5元", "是 3.5 元"), ("lb", "3,5", "3.5"), ("be", "2,5", "2 коска 5"), ("yue", "3.5", "3點5"),
    ("pt", "D. Pedro", "d Pedro"), ("pt-br", "R$ 3,50", "3,50 reais"), ("pt", "lugar 1.º", "lugar primeiro"),
    ("ar", "٣٫١٤", "3.14"), ("fa", "۱۲٬۳۴۵٬۶۷۸٫۵", "12345678.5"), ("ur", "1٬500", "1500"),
    ("es", "20ºC", "20 °C"), ("de", "10\u00a0% und 5\u202f€", "10 % und 5 €"),
])  # fmt: skip
def test_a_value_is_said_as_its_words(language, text, whole):
    ours, words = (re.sub("[ˈˌ]", "", "".join(sounds(language, each))) for each in (text, whole))
    assert ours.replace("tən", "tə") == words.replace("tən", "tə")  # eSpeak's ordinals have one ending


@pytest.mark.parametrize(("language", "text", "script", "word"), [
    ("en-us", "I say 中国 now", "Chinese", "中国"), ("de", "Das ist Привет", "Cyrillic", "Привет"),
    ("en-us", "γειά", "Greek", "γειά"), ("ru", "слово שלום", "Hebrew", "שלום"), ("en-us", "Ж", "Cyrillic", "Ж"),
    ("ja", "世界", "Chinese", "世界"), ("en-us", "สวัสดี", "Thai", "สวัสดี"), ("ja", "say hello", "Latin", "hello"),
    ("en-us", "\u4e2d" * 400, "Chinese", "\u4e2d" * 20),
    ("en-us", "\u0444\u044b" * 200, "Cyrillic", "\u0444\u044b" * 10),
    ("fr-fr", "\u0430 la carte", "Cyrillic", "\u0430"),  # looks like a Latin a
])  # fmt: skip
def test_words_of_a_script_that_the_voice_lacks_are_named(language, text, script, word):
    with pytest.raises(DataError, match=f"does not read {script} '?.*{word}") as caught:
        frontend(language).tokens(text)
    assert "write those words" in caught.value.hint


@pytest.mark.parametrize(("language", "text"), [
    ("ru", "Привет"), ("ru", "США и Windows"), ("el", "γειά"), ("ar", "مرحبا"), ("he", "שלום"), ("hi", "नमस्ते"),
    ("ka", "გამარჯობა"),
    ("ko", "안녕"), ("ja", "こんにちは"), ("ja", "NHKです"), ("cmn", "中国"), ("yue", "中国"),
    ("am", "ሰላም"), ("th", "สวัสดี"), ("be", "свет"), ("ug", "سالام دۇنيا"), ("as", "পৃথিৱী"), ("mi", "Kia ora"),
    ("en-us", "the angle α"), ("en-us", "façade, Łódź, señor, Ærø"), ("fa", "می\u200cشود"), ("hi", "hello"),
])  # fmt: skip
def test_scripts_that_the_voice_has_are_read(language, text):
    assert sounds(language, text)


def test_a_symbol_for_which_nothing_is_said_is_named_in_a_warning():
    with pytest.warns(UserWarning, match=r"eSpeak \(de\) says nothing for '₽' \(U\+20BD RUBLE SIGN\)"):
        frontend("de").tokens("Das kostet 5 ₽.")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frontend("de").tokens("Das kostet 5 €, 3 % und 4 × 5 = 20.")


def test_a_letter_with_a_mark_becomes_what_the_table_has():
    one = FrontendPart.named("espeak", language="de", symbols=("_", *"ɪç")).build()
    two = FrontendPart.named("espeak", language="de", symbols=("_", *"ɪc\u0327")).build()
    both = FrontendPart.named("espeak", language="de", symbols=("_", *"ɪçc\u0327")).build()
    assert one.tokens("ich") == ["ɪ", "ç"]
    assert two.tokens("ich") == both.tokens("ich") == ["ɪ", "c", "\u0327"]  # Piper's voices have both


@pytest.mark.parametrize("language", ["en-us", "de", "ru", "cmn"])
@pytest.mark.parametrize("unit", ["tako", "7", "tako ", "tako-", "7,", "a/", "\u4e2d\u56fd"])
def test_no_part_of_a_long_word_number_or_clause_is_lost(language, unit):
    if unit[0] > "z" and language != "cmn":
        unit = "tako, "
    short, long = (len(sounds(language, unit * count)) for count in (40, 1200))
    assert long > 0.8 * 30 * short


@pytest.mark.parametrize(("language", "text"), [("de", "Das ist cool."), ("fr-fr", "Le cool."), ("ru", "Windows")])
def test_a_change_of_the_language_inside_a_text_leaves_no_flag(language, text):
    assert not set("()") & set(frontend(language).tokens(text))


def test_a_hyphen_that_joins_words_is_not_reported_as_lost():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "-" not in FrontendPart.named("espeak", language="fr-fr").build().tokens("Le chat dort.")


@pytest.mark.parametrize("text", ["Tel. 912 345 678", "030 123 456", "1.5, 2 y 3", "v2 500", "2 1000", "10 20 300"])
def test_numbers_beside_each_other_stay_separate(text):
    assert plain_numbers(text, "es") == text


@pytest.mark.parametrize(("code", "voice", "text"), [
    ("fr", "fr-fr", "Bonjour 1 500"), ("en", "en-gb", "Five"), ("no", "nb", "Takk, -5"), ("zh", "cmn", "中国3.5元"),
    ("pt-pt", "pt", "Bom dia"),
])  # fmt: skip
def test_other_codes_of_a_voice_mean_the_same_voice(code, voice, text):
    assert sounds(code, text) == sounds(voice, text)
