"""Captions with times: both notations, simple phrases, and what a caption that cannot be used says."""

import pytest
from hypothesis import given, strategies as st

from amphion_core.errors import DataError
from amphion_tta.onsets import onset_matrix, read_caption
from amphion_tta.timed_events import TimedEvent, sentence, write

NAMES = ("dog", "cat meowing", "whistling", "rock and roll", "sea_waves")


def read(text, **options):
    return write(read_caption(text, NAMES, duration=10.0, **options))


def test_onset_matrices_are_the_reference_numbers(golden):
    case = golden("pico")
    names = case["config"]["classes"]
    for text, expected in zip(case["inputs"]["onset_str"], case["outputs"]["onset"], strict=True):
        matrix = onset_matrix(read_caption(text, names, duration=10.24), names, rows=32, columns=256)
        assert (matrix == expected.numpy()).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog barks at 1-2, 3-4 and a cat meows at 5-6.5", "dog__1-2_3-4--cat meowing__5-6.5"),
        ("Dog at 1 - 2 s, 3 to 4 seconds", "dog__1-2_3-4"),
        ("a dog barks from 1 to 3 s while sea waves at 2-9", "dog__1-3--sea_waves__2-9"),
        ("dog at 2 s", "dog__2-3"),
        ("a dog barks at 1, 3 and 5 s", "dog__1-2_3-4_5-6"),
        ("dog two times at 3s for 0.5 s", "dog__3-3.5_4-4.5"),
        ("a dog barks twice", "dog__2-3_7-8"),
        ("cat meowing two times and whistling one times", "cat meowing__2-3_7-8--whistling__4.5-5.5"),
        ("a dog barks twice then a cat meows", "dog__1.167-2.167_4.5-5.5--cat meowing__7.833-8.833"),
        ("whistling at 5 seconds for 2 s, then rock and roll", "whistling__5-7--rock and roll__8-9"),
        ("a dog, followed by whistling at 4-5", "dog__1.5-2.5--whistling__4-5"),
        ("the sound of sea waves for eight seconds", "sea_waves__1-9"),
        ("dog at 1-2 and dog at 4-5", "dog__1-2_4-5"),
    ],
)
def test_phrases(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "the caption is empty"),
        ("dog at 3-2", "dog: 3-2 s ends before it begins"),
        ("dog at 2-2", "ends before it begins"),
        ("dog at 1-3, 2-4", "dog: 1-3 s and 2-4 s overlap"),
        ("dog at 9-11", "dog: 9-11 s is not within the 10 s"),
        ("dog__-1-2", "dog: -1-2 s is not within the 10 s"),
        ("dog at -1-2", "'-1-2' is not a time"),
        ("dog__1:2", "'1:2' is not a time"),
        ("dog__", "'' is not a time"),
        ("dog--cat__1-2", "'dog' is not an event with its times"),
        ("at 1-2", "names no event"),
        ("whistlin at 1-2", "no event 'whistlin'\nhint: did you mean whistling?"),
        ("ein Hund bellt", "no event 'ein hund bellt'\nhint: It knows dog, cat meowing"),
        ("a dog barks 90 times", "more than 50 times"),
        ("a dog zero times", "0 times is no sound"),
        ("dog 3 times at 1-2", "3 times, and 1 spans"),
        ("a dog barks 50 times and then a cat", "no room for 51 sounds"),
        ("dog " * 600, "2399 characters"),
    ],
)
def test_captions_that_cannot_be_used(text, message):
    with pytest.raises(DataError) as found:
        read(text)
    assert message in str(found.value)


def test_two_events_may_overlap():
    assert read("dog at 1-3 and whistling at 2-4") == "dog__1-3--whistling__2-4"


def test_a_name_that_fits_two_events_is_refused():
    with pytest.raises(DataError, match="'dog' may mean dog barking or dog howling"):
        read_caption("dog at 1-2", ("dog barking", "dog howling"), duration=10.0)


def test_a_users_translator_reads_free_text_and_leaves_exact_captions():
    def translate(text, names, seconds):
        assert (names, seconds) == (NAMES, 10.0)
        return "dog__0-1--whistling__8-9"

    assert read("at dawn somebody whistles to the dog", translate=translate) == "dog__0-1--whistling__8-9"
    assert read("dog__4-5", translate=translate) == "dog__4-5"


@pytest.mark.parametrize(
    ("answer", "message"), [("", "found no events"), ("horse__1-2", "translator answered 'horse__1-2'")]
)
def test_a_wrong_answer_of_a_translator_is_named(answer, message):
    with pytest.raises(DataError, match=message):
        read("free text", translate=lambda text, names, seconds: answer)


spans = st.lists(st.integers(0, 200), min_size=2, max_size=8, unique=True).map(sorted)


@given(st.dictionaries(st.sampled_from(NAMES), spans, min_size=1))
def test_what_is_written_is_read_again(ticks):
    events = [
        TimedEvent(name, tuple((a / 20, b / 20) for a, b in zip(found[::2], found[1::2], strict=False)))
        for name, found in ticks.items()
    ]
    assert read_caption(write(events), NAMES, duration=10.0) == events
    assert read_caption(sentence(events), NAMES, duration=10.0) == events


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        events = read_caption(text, NAMES, duration=10.0)
    except DataError:
        return
    assert all(0 <= start < end <= 10.001 for event in events for start, end in event.spans)


def test_a_short_event_has_one_column():
    assert onset_matrix([TimedEvent("dog", ((1.0, 1.01),))], NAMES, rows=32, columns=256).sum() == 1
