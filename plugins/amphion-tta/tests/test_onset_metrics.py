"""Onset F1 and the error of counts, compared with cases worked out by hand."""

import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_tta.metrics.onsets import EventCountError, OnsetF1, joined, matches
from amphion_tta.sound_events import EnergyDetector

RATE = 16000


def sounds(*spans, seconds=6.0, noise=0.0):
    """Bursts of a tone at the given spans, over noise of a level."""
    samples = noise * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    for start, end in spans:
        times = np.arange(round(start * RATE), round(end * RATE))
        samples[times] += 0.2 * np.sin(times / 10)
    return Audio(samples.astype(np.float32), RATE)


def score(metric, audio, text, **fields):
    return metric(metric.Config(**fields)).measure(audio, text=text)


@pytest.mark.parametrize(
    ("made", "text", "f1", "count"),
    [
        ([(1, 2), (3, 4)], "dog at 1-2, 3-4", 100, 0),
        ([(1.15, 2), (3, 4)], "dog at 1-2, 3-4", 100, 0),  # within the collar of 200 ms
        ([(1.3, 2), (3, 4)], "dog at 1-2, 3-4", 50, 0),  # 2 * 1 / (2 + 2)
        ([(1, 2)], "dog at 1-2, 3-4", 200 / 3, 1),  # 2 * 1 / (2 + 1)
        ([(1, 2), (3, 4), (5, 5.5)], "dog at 1-2", 50, 2),  # 2 * 1 / (1 + 3)
        ([], "dog at 1-2, 3-4", 0, 2),
        ([(1, 2)], "dog at 1-1.5 and cat at 1.3-2", 100, 0),  # what overlaps is one sound for the energy
        ([(1, 2), (3, 4)], "dog__1-2--cat__3-4", 100, 0),
        ([(1, 2), (4, 5)], "a dog barks twice", 100, 0),  # spread over six seconds: 1 to 2, 4 to 5
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.002])  # -54 dB of full scale, 37 dB under the sounds
def test_scores_worked_out_by_hand(made, text, f1, count, noise):
    audio = sounds(*made, noise=noise if made else 0.0)
    assert score(OnsetF1, audio, text).value == pytest.approx(f1)
    assert score(EventCountError, audio, text).value == count


def test_f1_of_a_set_is_that_of_all_onsets():
    metric = OnsetF1(OnsetF1.Config())
    scores = [score(OnsetF1, sounds((1, 2)), "dog at 1-2"), score(OnsetF1, sounds((1, 2)), "dog at 3-4, 5-5.5")]
    assert metric.aggregate(scores).value == pytest.approx(100 * 2 * 1 / (3 + 2))


def test_the_collar_can_be_chosen_and_is_shown():
    assert score(OnsetF1, sounds((1.3, 2)), "dog at 1-2", collar=0.5).value == 100
    assert OnsetF1(OnsetF1.Config(collar=0.5)).variant == "by energy, collar 0.5 s"
    assert EventCountError(EventCountError.Config(detector=EnergyDetector(gap=0.1))).variant == "by energy, gap 0.1"


@pytest.mark.parametrize("text", [None, " ", "dog at 3-2"])
def test_captions_without_times_are_refused(text):
    with pytest.raises(DataError):
        score(OnsetF1, sounds((1, 2)), text)


def test_samples_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="not finite"):
        score(OnsetF1, Audio(np.full(RATE, np.nan, np.float32), RATE), "dog at 0-1")


def brute_force(stated, found, collar):
    if not stated:
        return 0
    best = brute_force(stated[1:], found, collar)
    for index, onset in enumerate(found):
        if abs(onset - stated[0]) <= collar + 1e-9:
            best = max(best, 1 + brute_force(stated[1:], found[:index] + found[index + 1 :], collar))
    return best


def test_the_number_of_pairs_is_the_largest_possible():
    random = np.random.default_rng(0)
    for _ in range(200):
        stated, found = (sorted(random.uniform(0, 2, random.integers(0, 6)).tolist()) for _ in range(2))
        assert matches(stated, found, 0.2) == brute_force(stated, found, 0.2)


def test_touching_spans_are_one():
    assert joined([(0.0, 1.0), (1.1, 2.0), (2.5, 3.0)], gap=0.2) == [(0.0, 2.0), (2.5, 3.0)]
