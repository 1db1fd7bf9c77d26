"""The key shift: automatic, stated, and the limits of both."""

import numpy as np
import pytest

from amphion_core.errors import DataError
from amphion_svc.pitch import choose_shift, median_f0

SPAN = 50.0, 1100.0
SONG = [np.array([0, 100, 110, 120, 0], np.float32), np.array([110, 0, 110], np.float32)]


def test_the_median_is_that_of_the_voiced_frames():
    assert median_f0(SONG) == 110
    assert median_f0([np.zeros(3, np.float32)]) == 0 == median_f0([])


@pytest.mark.parametrize(("target", "shift"), [(220.0, 12), (110.0, 0), (103.0, -1), (150.0, 5), (0.0, 0)])
def test_the_automatic_shift_is_the_nearest_number_of_semitones(target, shift):
    assert choose_shift(SONG, None, target, SPAN)[0] == shift


def test_the_automatic_shift_keeps_the_melody_in_the_range_and_says_so():
    high = [np.array([300.0, 400.0, 900.0], np.float32)] * 50
    shift, why = choose_shift(high, None, 800.0, SPAN)
    assert shift == 3 and "+12" in why and "limited" in why
    shift, why = choose_shift([np.array([60.0, 300.0, 310.0], np.float32)] * 50, None, 75.0, SPAN)
    assert shift == -3 and "limited" in why


def test_a_stated_shift_outside_of_the_range_names_the_limits():
    assert choose_shift(SONG, 3.5, 400.0, SPAN)[0] == 3.5
    with pytest.raises(DataError, match="leaves the range") as caught:
        choose_shift(SONG, -20.0, 0.0, SPAN)
    assert "from -12 to +38" in caught.value.hint


def test_a_song_that_lies_outside_of_the_range_may_stay_where_it_is():
    assert choose_shift([np.array([1150.0] * 9, np.float32)], 0.0, 0.0, SPAN)[0] == 0
    assert choose_shift([np.array([1150.0] * 9, np.float32)], None, 1150.0, SPAN)[0] == 0
