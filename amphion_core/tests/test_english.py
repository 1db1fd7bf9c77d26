"""English values as words: a table of cases, and what is true of every text."""

import csv
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.text import normalize_english
from amphion_core.text.english.numbers import cardinal, ordinal


def cases():
    """The rows of english_cases.tsv; \\uXXXX stands for a character that an editor does not show."""
    with Path(__file__).with_name("english_cases.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            text = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), row["text"])
            yield pytest.param(text, row["spoken"], id=f"{row['kind']}: {row['text']}")


@pytest.mark.parametrize(("text", "spoken"), list(cases()))
def test_values_are_said_as_a_reader_would(text, spoken):
    assert normalize_english(text) == spoken
    assert normalize_english(spoken) == spoken


@pytest.mark.parametrize(("number", "words"), [(0, "zeroth"), (20, "twentieth"), (112, "one hundred twelfth")])
def test_ordinals(number, words):
    assert ordinal(number) == words


@given(st.integers(0, 10**15 - 1))
def test_cardinals_agree_with_num2words(number):
    num2words = pytest.importorskip("num2words", reason="needs num2words: pip install num2words").num2words
    theirs = num2words(number).replace(",", "").replace(" and ", " ")
    assert cardinal(number) == theirs
    assert ordinal(number) == num2words(number, to="ordinal").replace(",", "").replace(" and ", " ")


CHARACTERS = "ab AMXpmsxk 0123456789.,:/$%-\u2013\u2212°£€+#&@=x'()\n½²"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet=CHARACTERS, max_size=25))
def test_the_result_has_no_digits_and_only_marks_that_frontends_know(text):
    words = normalize_english(text)
    assert not any(char.isnumeric() and not char.isalpha() for char in words)
    assert "  " not in words and words == words.strip()
    assert all(char.isalpha() or char in " .,;:!?'\"()-" or not char.isascii() for char in words)


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet=CHARACTERS, max_size=25))
def test_writing_out_twice_changes_nothing(text):
    once = normalize_english(text)
    assert normalize_english(once) == once


VALUES = (
    "5", "1/2", "2½", "-5°C", "$5", "$-5", "10-15", "9am-5pm", "30%-40%", "2024-01-31", "5 January 2024", "Jan. 5",
    "1,000,000th", "80s", "5:30", "5.30 pm", "A4", "US$5", "555-1234", "10 km/h", "#5", "2.0.1", "3x4", "9/11", "&",
)  # fmt: skip
WORDS = ("house", "green", "walked", "Paris", "and", "with", "soft", "river", "quickly", "blue", "they", "never")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(VALUES) | st.sampled_from(WORDS), min_size=1, max_size=12))
def test_no_word_around_values_is_lost(pieces):
    spoken = re.findall(r"[A-Za-z]+", normalize_english(" ".join(pieces)))
    rest = iter(spoken)
    assert all(word in rest for word in pieces if word in WORDS), f"{pieces} became {spoken}"


@pytest.mark.parametrize(
    "pattern",
    ["1", ".", "1.", "1,", "1,111", "1-", "1/", "1:", "5 ", "$5-", "a.", "A.B", "a1", "IV ", "@a", "a@", "½", "- ",
     "1\u202f111", "'1", "5%-", "a-", "http://", "1 1/2 ", "\u2013", "+1 ", "U.S. "],
)  # fmt: skip
def test_long_repetitions_take_linear_time(pattern):
    """Eight times the length takes about eight times as long; a quadratic rule would need 64 times."""
    times = []
    for length in (2_000, 16_000):
        text = (pattern * length)[:length]
        start = time.process_time()
        normalize_english(text)
        times.append(time.process_time() - start)
    assert times[1] < 24 * times[0] + 0.2
