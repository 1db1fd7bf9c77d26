"""What counts as the same speech: tables of equal and of different pairs, the alignment, other languages, jiwer."""

import csv
import random
import re
import subprocess
import sys
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

import jiwer
import pytest
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core.errors import DataError, MissingPackage
from amphion_eval.analysis.english.spelling import one_spelling
from amphion_eval.analysis.readings import spoken
from amphion_eval.analysis.text_normalization import spans_of
from amphion_eval.analysis.word_alignment import Lattice, align

TABLES = Path(__file__).parent / "tables"


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


EQUAL, DIFFERENT = table(TABLES / "equal_speech.tsv"), table(TABLES / "different_speech.tsv")


def metric(name, **fields):
    component = amphion.get("metrics", name)
    return component(component.Config(**fields))


def said(spans):
    """Every way to say a text, as lists of words."""
    choices = [[phrases for reading in span for phrases in product(*spoken(reading))] for span in spans]
    return [[word for phrases in way for phrase in phrases for word in phrase] for way in product(*choices)]


def ways(text, language="en", *, heard=False):
    return {" ".join(way) for way in said(spans_of(text, language, heard=heard))}


@pytest.mark.parametrize("row", EQUAL, ids=lambda row: f"{row['reference']}={row['heard']}")
def test_equal_speech_has_no_errors(row):
    for name in ("wer", "cer"):
        score = metric(name).compare(row["reference"], row["heard"])
        assert score.value == 0, score.details


@pytest.mark.parametrize("row", DIFFERENT, ids=lambda row: f"{row['reference']}!={row['heard']}")
def test_different_speech_has_errors(row):
    score = metric("wer").compare(row["reference"], row["heard"])
    assert score.value == pytest.approx(float(row["rate"]), abs=0.01) if row["rate"] else score.value > 0


def test_the_tables_are_long_enough_to_cover_every_rule():
    assert len(EQUAL) >= 108 and len(DIFFERENT) >= 60


def test_the_shared_pairs_of_equal_speech(cases):
    rows = table(cases / "wer_pairs.tsv")
    assert rows and [row for row in rows if metric("wer").compare(row["reference"], row["heard"]).value] == []


@pytest.mark.parametrize(
    ("text", "spoken_as"),
    [
        ("2010", {"two thousand and ten", "two thousand ten", "twenty ten"}),
        ("530", {"five thirty", "five hundred thirty", "five hundred and thirty", "five three zero", "five three o"}),
        ("the 80s", {"the eighties"}), ("USB type C", {"usb type c", "u s b type c"}),
        ("-5", {"minus five", "negative five"}),
        ("10-15", {f"ten {word} fifteen" for word in ("to", "through", "until", "till", "dash", "hyphen")}),
        ("21st", {"twenty first"}), ("$5", {"five dollars", "five dollar"}), ("Dr. Lee", {"doctor lee"}),
    ],
)  # fmt: skip
def test_a_text_has_these_readings_and_no_others(text, spoken_as):
    assert ways(text) == spoken_as


def test_a_wrong_reading_of_the_voice_counts():
    assert metric("wer").compare("USB type C cable", "USB type one hundred cable").value == 50


def test_the_readings_do_not_come_from_the_frontends():
    """Both together would hide a wrong reading: so no module of the frontends is loaded where texts are compared."""
    code = """
import sys
from amphion_eval.analysis.text_normalization import spans_of
spans_of("Dr. Lee paid $5 on 3 May 1984", "en", heard=False), spans_of("1.500 Euro", "de", heard=True)
print([name for name in sys.modules if name.startswith(("amphion_core.text", "amphion_tts"))])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_words_of_readings_are_keys_of_spelling():
    """A reading with a word that `one_spelling` changes could never match what was heard."""
    for row in [*EQUAL, *DIFFERENT]:
        for span in spans_of(row["reference"], "en", heard=False):
            for word in re.findall(r"[a-z]+", " ".join(span)):
                assert one_spelling(word) == word, (row["reference"], word)


PIECES = ["a", "b", "c", "ab", "abc", "a b", "a [b] c", "(a|b c) d", "[a]", "(a|) b", "b c a [d]"]


@pytest.mark.parametrize("joins", [False, True])
def test_the_alignment_is_the_best_over_all_readings(joins):
    """Compared with the alignments of all pairs of readings, one by one."""
    chance = random.Random(0)

    def text():
        return [tuple(chance.sample(PIECES, chance.choice([1, 1, 2, 3]))) for _ in range(chance.randint(0, 4))]

    for _ in range(300):
        one, two = (Lattice.from_spans(text(), joins=joins) for _ in range(2))
        ways, others = set(paths(one)), set(paths(two))
        if len(ways) * len(others) > 1000:
            continue
        found = align(one, two)
        assert (found.edits, found.count, found.deletions, found.insertions) == min(
            fewest_edits(way, other) for way in ways for other in others
        )
        assert found.hits >= 0 and found.edits == found.substitutions + found.deletions + found.insertions


def paths(lattice):
    """Every way through a lattice: tuples of (word, number of words that it stands for)."""

    def after(node):
        if node == lattice.cuts[-1]:
            yield ()
        for source, target, word, number in lattice.edges:
            if source == node:
                yield from ((((word, number),) if number else ()) + rest for rest in after(target))

    return after(0)


def fewest_edits(one, two):
    """Edits, words of ``one``, deletions and insertions of the best alignment of two ways."""
    row = [(0, 0, 0)]
    for _, number in two:
        row.append(added(row[-1], number, 0, number))
    for word, number in one:
        above, row = row, [added(row[0], number, number, 0)]
        for column, (other, width) in enumerate(two):
            choices = [added(above[column + 1], number, number, 0), added(row[-1], width, 0, width)]
            if word == other:
                choices.append(above[column])
            elif number == width == 1:  # a joined word is never substituted
                choices.append(added(above[column], 1, 0, 0))
            row.append(min(choices))
    edits, deletions, insertions = row[-1]
    return edits, sum(number for _, number in one), deletions, insertions


def added(cost, *more):
    return tuple(first + second for first, second in zip(cost, more, strict=True))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["p", "q", "r"]), min_size=1, max_size=8),
    st.lists(st.sampled_from(["p", "q", "r"]), max_size=8),
)
def test_plain_words_have_as_many_edits_as_jiwer_counts(one, two):
    found = align(*(Lattice.from_spans([(word,) for word in text], joins=False) for text in (one, two)))
    theirs = jiwer.process_words(" ".join(one), " ".join(two))
    assert found.edits == theirs.substitutions + theirs.deletions + theirs.insertions and found.count == len(one)


def test_a_joined_word_only_matches_and_is_never_one_edit():
    wer = metric("wer")
    assert wer.compare("foot ball team", "football team").details["count"] == 3
    missing = wer.compare("the foot ball team", "the team")
    assert (missing.details["deletions"], missing.details["count"]) == (2, 4)


def test_long_texts_are_aligned_in_seconds():
    chance = random.Random(1)
    text = " ".join(
        chance.choice(["in", "1984", "the", "colour", "of", "$5", "don't", "Mr.", "house"]) for _ in range(2000)
    )
    start = time.process_time()
    assert metric("wer").compare(text, text).value == 0
    assert metric("wer").compare("word " * 2000, text).value > 0
    assert time.process_time() - start < 20  # measured 0.6 s; a quadratic loop in Python takes minutes


@pytest.mark.parametrize(
    "text", ["." * 100_000, "1" * 100_000, "1," * 20_000, "1-" * 20_000, "5:30" * 5_000, "a." * 20_000]
)
def test_a_degenerate_text_ends_in_a_value_or_an_error(text):
    start = time.process_time()
    with suppress(DataError):  # it has too many words
        assert metric("wer").compare(text, "five").value > 0
    assert time.process_time() - start < 20


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["en", "en-GB", "de", "fr", "ru", "pt-BR", "xx"]))
def test_any_text_equals_itself(text, language):
    wer = metric("wer", language=language)
    assert wer.edits(text, text).edits == 0 and () not in spans_of(text, language, heard=True)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"0123456789-/.:,$%°' ", "am", "pm", "st", "s", "½", "May ", "the ", "No. "]), max_size=10
    )
)
def test_any_mixture_of_digits_and_signs_equals_itself(pieces):
    assert metric("wer").edits("".join(pieces), "".join(pieces)).edits == 0


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("de", "Größe, STRASSE!", "grösse straße"), ("ru", "за́мок", "замок"), ("fr", "L’été", "l'été"),
        ("de", "E-Mail", "E Mail"), ("de", "1.500 Euro", "1500 Euro"), ("fr", "10 000 euros", "10000 euros"),
        ("ar", "٥ كتب", "5 كتب"), ("de", "5 € und 3 %", "5 Euro und 3 Prozent"), ("fr", "5 %", "5 pour cent"),
        ("de", "um 14:30 Uhr", "um 14 Uhr 30"),
        ("de", "z. B. Dr. Lee, d.h. Nr. 5", "zum Beispiel Doktor Lee, das heißt Nummer 5"),
        ("fr", "à 14h30, M. Dupont", "à 14 heures 30 monsieur Dupont"), ("fr", "le 1er mai", "le premier mai"),
        ("es", "El Sr. López, 25%", "El señor López, 25 por ciento"), ("ru", "5 %", "5 процентов"),
        ("nl", "Dhr. Jansen", "de heer Jansen"), ("it", "5 %", "5 per cento"), ("pt", "A Sra. Ana", "A senhora Ana"),
    ],
)  # fmt: skip
def test_spellings_of_the_same_words_are_equal_in_other_languages(language, one, other):
    assert metric("wer", language=language).compare(one, other).value == 0


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [("de", "Mr. Schmidt", "mister Schmidt"), ("de", "colour", "color"), ("fr", "5%", "5"), ("de", "-5", "5"),
     ("de", "5 €", "5 Prozent"), ("fr", "5 €", "5"),
     ("de", "um 14:30 Uhr", "um 14 Uhr 13")],
)  # fmt: skip
def test_english_rules_are_for_english_and_signs_are_kept(language, one, other):
    assert metric("wer", language=language).compare(one, other).value > 0


def test_numbers_of_other_languages_are_written_out_where_num2words_is(monkeypatch):
    pytest.importorskip("num2words", reason="pip install num2words")
    for language, one, other in [
        ("de", "Es sind 21 Leute", "Es sind einundzwanzig Leute"), ("de", "1.500", "eintausendfünfhundert"),
        ("de", "3,5", "drei Komma fünf"), ("fr", "2010", "deux mille dix"), ("es", "-5", "menos cinco"),
        ("de", "1.500", "tausendfünfhundert"), ("de", "am 3. Mai", "am dritten Mai"), ("es", "3,5", "tres coma cinco"),
    ]:  # fmt: skip
        assert metric("wer", language=language).compare(one, other).value == 0, (one, other)
    assert "digits kept" not in metric("wer", language="de", recognizer="hubert_ctc").variant
    monkeypatch.setattr("amphion_eval.analysis.text_normalization.find_spec", lambda name: None)
    from amphion_eval.analysis import text_normalization

    text_normalization._in_words.cache_clear()
    assert metric("wer", language="de").compare("21 Leute", "einundzwanzig Leute").value == 50
    assert metric("wer", language="de", recognizer="hubert_ctc").variant.endswith("de, digits kept")
    text_normalization._in_words.cache_clear()


def test_without_normalisation_the_rates_are_those_of_jiwer(golden):
    case = golden("metrics", framework="numpy")
    text, heard = case["inputs"]["gt"], case["inputs"]["hyp"]
    plain = metric("wer", normalization="none").compare(text, heard).value / 100
    assert plain == pytest.approx(case["outputs"]["wer_jiwer"]) == jiwer.wer(text, heard)
    with_spaces = metric("cer", normalization="none", spaces=True).compare(text, heard).value / 100
    assert with_spaces == pytest.approx(jiwer.cer(text, heard))
    without = metric("cer", normalization="none").compare(text, heard).value / 100
    assert without == pytest.approx(jiwer.cer(text.replace(" ", ""), heard.replace(" ", "")))
    assert metric("wer", normalization="none").compare("Hello there", "hello there").value == 50


@settings(max_examples=60, deadline=None)
@given(
    *(st.lists(st.sampled_from(["cat", "sat", "mat", "at"]), min_size=low, max_size=6).map(" ".join) for low in (1, 0))
)
def test_characters_with_and_without_spaces_are_those_of_jiwer(text, heard):
    for spaces in (True, False):
        found = metric("cer", spaces=spaces).compare(text, heard)
        theirs = (text, heard) if spaces else (text.replace(" ", ""), heard.replace(" ", ""))
        if not spaces or len(text.split()) == len(heard.split()):  # else words may be joined
            assert found.value / 100 == pytest.approx(jiwer.cer(*theirs))
        assert found.details["count"] == len(theirs[0])


def test_the_normalisation_of_whisper_is_that_of_its_package():
    normalizer = pytest.importorskip(
        "whisper_normalizer.english", reason='pip install "amphion-eval[whisper-normalizer]"'
    ).EnglishTextNormalizer()
    text, heard = "Mr. Smith paid $20 for the colour.", "mister smith paid twenty dollars for the color"
    theirs = jiwer.wer(normalizer(text).strip(), normalizer(heard).strip())
    assert metric("wer", normalization="whisper").compare(text, heard).value / 100 == pytest.approx(theirs)
    assert metric("wer", normalization="whisper", language="de").compare("Größe, ja!", "größe ja").value == 0
    assert re.search(
        r"normalization whisper \d", metric("wer", normalization="whisper", recognizer="hubert_ctc").variant
    )


def test_without_the_package_the_normalisation_of_whisper_is_a_clear_error(monkeypatch):
    from amphion_eval.analysis import text_normalization

    text_normalization._whisper_normalizer.cache_clear()
    monkeypatch.setattr(text_normalization, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="whisper-normalizer") as error:
        metric("wer", normalization="whisper").compare("one", "two")
    assert error.value.hint == 'pip install "amphion-eval[whisper-normalizer]"'


def test_a_field_that_changes_the_value_is_in_the_variant():
    settings = [{}, {"normalization": "none"}, {"language": "de"}, {"recognizer": "whisper"}]
    variants = {metric("wer", **{"recognizer": "hubert_ctc"} | fields).variant for fields in settings}
    assert len(variants) == len(settings)
    assert metric("cer", recognizer="hubert_ctc", spaces=True).variant != metric("cer", recognizer="hubert_ctc").variant


def test_stored_scores_are_measured_again_when_a_package_changes_the_values(monkeypatch):
    from amphion_eval.analysis import text_normalization
    from amphion_eval.evaluation.measuring import Shard
    from amphion_eval.evaluation.run import plan
    from amphion_eval.evaluation.shards import shard_key

    shard = Shard("a", (), plan(["wer"], {"wer": {"language": "de", "recognizer": "hubert_ctc"}}))
    before = shard_key(shard)
    monkeypatch.setattr(text_normalization, "find_spec", lambda name: None)
    assert shard_key(shard) != before


def test_a_text_without_words_is_an_error():
    for text in ("", "...", "—"):
        with pytest.raises(DataError, match="no text"):
            metric("wer").compare(text, "something")


@pytest.mark.parametrize("text", ["5.05%", "1m\u0130", "4.56 km", "5.30 pm", "3 \u212a", "Apr\u0130l 5", "\u0130.e."])
def test_unusual_letters_and_units_after_decimals_equal_themselves(text):
    assert metric("wer").edits(text, text).edits == 0


def test_a_text_with_too_many_words_and_one_with_too_many_readings_are_named():
    heard = Lattice.from_spans([("a",)])
    with pytest.raises(DataError, match="more than 60,000 words"):
        align(Lattice.from_spans([("a",)] * 60_001, joins=False), heard)
    with pytest.raises(DataError, match="the longest reading of the text has over 16,383 words more than the shortest"):
        align(Lattice.from_spans([("a", "a b")] * 16_384, joins=False), heard)
