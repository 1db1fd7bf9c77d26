"""Intervals, paired comparisons and Holm's correction, compared with known values and with scipy."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings, strategies as st

import amphion_core as amphion
from amphion_core.api import Score
from amphion_eval.evaluation.statistics import compare, holm, interval


@pytest.fixture(scope="module")
def stoi():
    component = amphion.get("metrics", "stoi")
    return component(component.Config())


def scores(values):
    return [Score(float(value)) for value in values]


def test_the_interval_of_a_mean_is_about_two_standard_errors(stoi):
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = interval(stoi, scores(values))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.05)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.02)
    assert interval(stoi, scores(values)) == [low, high] and interval(stoi, scores([1.0])) is None


def test_a_corpus_rate_is_resampled_as_a_rate():
    """One long item and many short ones: the interval is that of the pooled rate, not of the mean of the rates."""
    component = amphion.get("metrics", "wer")
    wer = component(component.Config())
    items = [Score(0.0, {"edits": 0.0, "count": 990.0}), *[Score(100.0, {"edits": 1.0, "count": 1.0})] * 10]
    low, high = interval(wer, items)
    assert low <= 1.0 < high and wer.aggregate(items).value == pytest.approx(1.0)


def test_the_permutation_test_agrees_with_scipys(stoi):
    random = np.random.default_rng(0)
    a = random.normal(0, 1, 30)
    b = a + random.normal(0.25, 0.7, 30)
    difference, (low, high), p = compare(stoi, scores(a), scores(b))
    theirs = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples", n_resamples=9999, vectorized=True
    ).pvalue
    assert difference == pytest.approx((a - b).mean()) and low < difference < high
    assert p == pytest.approx(theirs, abs=0.02)


def test_equal_systems_do_not_differ_and_far_ones_do(stoi):
    values = np.random.default_rng(0).normal(0, 1, 40)
    assert compare(stoi, scores(values), scores(values)) == (0.0, [0.0, 0.0], 1.0)
    assert compare(stoi, scores(values), scores(values + 5))[2] < 0.001


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_only_raises_p_and_keeps_the_order(p):
    corrected = holm(p)
    assert all(low <= high <= 1 for low, high in zip(p, corrected, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(corrected)[order]) >= 0)
    assert corrected[order[0]] == pytest.approx(min(1, len(p) * min(p)))
