"""English numbers and symbols as words, and texts without what cannot be spoken."""

import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.text import clean, normalize_english


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Dr. Smith paid $3.50 on the 3rd of May 1984.",
         "doctor Smith paid three dollars and fifty cents on the third of May nineteen eighty-four."),
        ("12,500 cars", "twelve thousand five hundred cars"),
        ("3.14", "three point one four"),
        ("-5 degrees, minus 5", "minus five degrees, minus five"),
        ("007", "zero zero seven"),
        ("at 10:30 and 3 pm", "at ten thirty and three p m"),
        ("12:00", "twelve o'clock"),
        ("in 2005, the 1990s", "in two thousand five, the nineteen nineties"),
        ("60% of 20 km", "sixty percent of twenty kilometers"),
        ("$4m and £1.2 billion", "four million dollars and one point two billion pounds"),
        ("$1, $0.01", "one dollar, one cent"),
        ("World War II, Henry VIII", "World War two, Henry the eighth"),
        ("5/8 cup", "five eighths cup"),
        ("1st 2nd 21st", "first second twenty-first"),
        ("No. 5, St. James St.", "number five, saint James street"),
        ("R&D", "R and D"),
        ("20°C", "twenty degrees celsius"),
        ("May 5, 2010", "May fifth, twenty ten"),
        ("“quoted” — it’s", '"quoted" - it\'s'),
        ("call 555-1234", "call five five five one two three four"),
    ],
)  # fmt: skip
def test_english_is_written_out(text, words):
    assert normalize_english(text) == words


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_becomes_text_without_digits_or_double_spaces(text):
    words = normalize_english(text)
    assert not any(char.isdecimal() for char in words)
    assert "  " not in words and words == words.strip()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab 0123456789.,:/$%-°£ \nstKm", max_size=25))
def test_writing_out_twice_changes_nothing(text):
    once = normalize_english(text)
    assert normalize_english(once) == once


def test_cleaning_removes_what_cannot_be_spoken():
    assert clean("a\x00b 🎉 ｆｕｌｌ\r\n c") == "a b full\nc"
