"""Recorded graphs: which sizes occur, and when a function is recorded. What a graph does is checked on a GPU."""

import pytest
import torch
from hypothesis import given, strategies as st

from amphion_core.modules import cuda_graphs
from amphion_core.modules.cuda_graphs import GraphCache, rounded, step_of


@given(size=st.integers(1, 10_000))
def test_sizes_are_rounded_up_by_little_and_to_few(size):
    up = rounded(size)
    assert size <= up < size + max(32, size / 8 + 1)
    assert rounded(up) == up
    assert up - size < step_of(up)  # the end that may be invalid


class Recording:
    """Counts in place of a GPU."""

    made = 0

    def __init__(self, function, inputs, memory):
        type(self).made += 1
        self.function = function

    def replay(self, inputs):
        return self.function(*inputs)


@pytest.fixture
def cache(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "_Recording", Recording)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    monkeypatch.setattr(Recording, "made", 0)
    return GraphCache(lambda x, y: (x + (0 if y is None else y),), kept=2)


def test_the_second_call_with_a_shape_records_and_later_ones_replay(cache):
    for calls, made in ((1, 0), (2, 1), (3, 1)):
        assert cache(torch.full((2,), calls), None)[0].tolist() == [calls, calls]
        assert Recording.made == made
    cache(torch.ones(2), torch.ones(2))  # another signature
    assert Recording.made == 1


def test_the_shapes_that_were_used_longest_ago_are_forgotten(cache):
    for size in (1, 1, 2, 3, 1):  # size 3 displaces 1
        cache(torch.ones(size), None)
    assert Recording.made == 1
    cache(torch.ones(1), None)
    assert Recording.made == 2
