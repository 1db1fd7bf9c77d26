"""The batch plan: every item once, within the budget, the same in every process, no length lost for good."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from amphion_core.data.batch_plan import plan_epoch
from amphion_core.errors import DataError

DURATIONS = st.lists(st.floats(0.2, 12.0), min_size=1, max_size=200).map(lambda values: np.array(values, np.float32))


def items(plan):
    return [int(item) for step in plan.steps for micro in step for item in micro]


@given(DURATIONS, st.integers(1, 4), st.integers(0, 5))
@settings(deadline=None)
def test_every_batch_is_within_the_budget_and_every_step_whole(durations, micro_batches, epoch):
    plan = plan_epoch([durations], budget=12.0, micro_batches=micro_batches, seed=3, epoch=epoch)
    for step in plan.steps:
        assert len(step) == micro_batches
        for micro in step:
            assert len(micro) == 1 or float(durations[micro].max()) * len(micro) <= 12.0 + 1e-4


@given(DURATIONS, st.integers(1, 4))
@settings(deadline=None)
def test_no_item_comes_twice_unless_there_are_fewer_than_micro_batches(durations, micro_batches):
    found = Counter(items(plan_epoch([durations], budget=12.0, micro_batches=micro_batches, seed=0, epoch=0)))
    if len(durations) >= micro_batches:
        assert not found or max(found.values()) == 1
        lost = len(durations) - len(found)
        largest = max(1, len(durations) // micro_batches)
        assert lost <= (micro_batches - 1) * largest  # what cannot make a whole step


def test_an_epoch_of_one_micro_batch_a_step_has_every_item_once():
    durations = np.random.default_rng(0).uniform(0.5, 6, 500).astype(np.float32)
    assert sorted(items(plan_epoch([durations], budget=20, micro_batches=1, seed=1, epoch=0))) == list(range(500))


def test_the_plan_is_a_function_of_its_arguments_and_differs_by_epoch_and_seed():
    durations = np.random.default_rng(0).uniform(0.5, 6, 300).astype(np.float32)

    def order(seed, epoch):
        return items(plan_epoch([durations], budget=20, micro_batches=2, seed=seed, epoch=epoch))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1) != order(2, 1)


def test_items_left_out_of_an_epoch_are_of_every_length_over_many_epochs():
    durations = np.linspace(1, 4, 97).astype(np.float32)
    lost = Counter()
    for epoch in range(60):
        plan = plan_epoch([durations], budget=8, micro_batches=4, seed=0, epoch=epoch)
        lost.update(set(range(97)) - set(items(plan)))
    assert min(lost) < 30
    assert max(lost) > 60
    assert max(lost.values()) < 30  # none is lost in half of the epochs


def test_neighbours_in_a_step_have_nearly_equal_work():
    durations = np.random.default_rng(0).uniform(0.5, 8, 2000).astype(np.float32)
    plan = plan_epoch([durations], budget=60, micro_batches=4, seed=0, epoch=0)
    loads = [[float(durations[micro].max()) * len(micro) for micro in step] for step in plan.steps]
    assert np.median([max(row) / min(row) for row in loads]) < 1.15


def test_weights_are_shares_of_the_audio_time():
    short, long = np.full(1000, 1.0, np.float32), np.full(100, 10.0, np.float32)
    plan = plan_epoch([short, long], budget=20, micro_batches=1, seed=0, epoch=0, weights=[1, 3])
    chosen = np.array(items(plan))
    seconds = (chosen < 1000).sum() * 1.0, (chosen >= 1000).sum() * 10.0
    assert seconds[1] / seconds[0] == pytest.approx(3, rel=0.05)
    assert sum(seconds) == pytest.approx(2000, rel=0.05)  # as long as both together


def test_crops_count_as_long_as_they_are():
    plan = plan_epoch([np.full(64, 5.0, np.float32)], budget=4.0, micro_batches=1, seed=0, epoch=0, crop=0.5)
    assert {len(micro) for step in plan.steps for micro in step} == {8}


def test_an_item_longer_than_the_budget_is_left_out_and_none_that_fits_is_an_error():
    durations = np.array([1.0, 50.0], np.float32)
    assert items(plan_epoch([durations], budget=10, micro_batches=1, seed=0, epoch=0)) == [0]
    with pytest.raises(DataError, match=r"no item fits a budget of 10 s: the shortest of 1 item has 50\.00 s"):
        plan_epoch([durations[1:]], budget=10, micro_batches=1, seed=0, epoch=0)
