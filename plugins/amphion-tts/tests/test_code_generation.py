"""Drawing codes one after another: what the controls change, when generation ends, and the cache."""

import logging

import pytest
import torch
from hypothesis import given, strategies as st

from amphion_tts.models.code_generation import CodeControls, KeyValueCache, Sampling, draw, generate, repeating

SHARES = torch.tensor([0.5, 0.3, 0.15, 0.05])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(how, count=2000, before=()):
    g = seeded()
    return torch.bincount(torch.tensor([draw(SHARES.log(), before, how, g) for _ in range(count)]), minlength=4) / count


def test_without_controls_codes_have_the_probabilities_of_the_model():
    assert (drawn(Sampling()) - SHARES).abs().max() < 0.03  # three standard errors of 2000 draws


def test_top_k_and_top_p_keep_the_likeliest_codes_only():
    expected = torch.tensor([0.5, 0.3, 0, 0]) / 0.8
    for how in (Sampling(top_k=2), Sampling(top_p=0.8), Sampling(top_p=0.55)):
        assert (drawn(how) - expected).abs().max() < 0.035, how
    assert drawn(Sampling(top_p=0.01), 50)[0] == 1  # at least one code stays


def test_temperature_changes_the_odds_and_zero_takes_the_likeliest():
    cold = (SHARES.log() / 0.5).softmax(0)
    assert (drawn(Sampling(temperature=0.5)) - cold).abs().max() < 0.03
    assert drawn(Sampling(temperature=0), 20)[0] == 1


def test_the_penalty_divides_the_scores_of_earlier_codes():
    logits = torch.tensor([2.0, 1.5, -1.0])
    assert draw(logits, [], Sampling(temperature=0, repetition_penalty=2), seeded()) == 0
    assert draw(logits, [0, 0], Sampling(temperature=0, repetition_penalty=2), seeded()) == 1
    assert draw(torch.tensor([-1.0, -1.5]), [0], Sampling(temperature=0, repetition_penalty=2), seeded()) == 1


def test_a_code_that_fills_the_window_is_drawn_again_from_all_codes():
    how = Sampling(top_p=0.4, repetition_window=10)  # the nucleus is code 0 alone
    assert drawn(how, 50, [1] * 10)[0] == 1
    assert (drawn(how, 2000, [0] * 10) - SHARES).abs().max() < 0.03


def test_a_request_changes_the_models_own_sampling():
    own = {"top_p": 0.9, "top_k": 100}
    assert Sampling.of(None, **own) == Sampling(top_p=0.9, top_k=100)
    assert Sampling.of(CodeControls(top_p=0.5, temperature=0), **own) == Sampling(0, 100, 0.5)


def spoken(codes, *, most=1000, end=99):
    """Generates a fixed sequence; the end symbol follows it."""

    def scores(code):
        scores.count = 0 if code is None else scores.count + 1
        row = torch.full((100,), -9.0)
        row[codes[scores.count] if scores.count < len(codes) else end] = 9.0
        return row

    return generate(scores, end=end, most=most, frame_rate=10, how=Sampling(temperature=0), generator=seeded())


def test_generation_ends_at_the_end_symbol_without_words(caplog):
    assert spoken([3, 1, 4, 1, 5]) == [3, 1, 4, 1, 5] and not caplog.records
    assert spoken([]) == []


def test_generation_ends_at_the_longest_duration_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert spoken(list(range(50)), most=7) == list(range(7))
    assert "did not end after 0.7 seconds" in caplog.text


@pytest.mark.parametrize("period", [1, 3, 8])
def test_a_loop_is_cut_off_and_reported(period, caplog):
    loop = list(range(60, 60 + period))
    with caplog.at_level(logging.WARNING):
        assert spoken([1, 2, 3, *loop * 100]) == [1, 2, 3, *loop]
    assert "repeats itself" in caplog.text


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(9, 20))
def test_repeating_is_the_smallest_period_of_the_last_codes(codes, count):
    last = codes[-count:]
    periods = [p for p in range(1, 9) if all(last[i] == last[i - p] for i in range(p, len(last)))]
    assert repeating(codes, count) == (periods[0] if len(codes) >= count and periods else 0)


def test_the_cache_gives_all_positions_in_order():
    cache = KeyValueCache(2, 1, 2, 5, torch.zeros(1))
    x = torch.arange(10.0).view(1, 1, 5, 2)
    for part in (x[:, :, :3], x[:, :, 3:4], x[:, :, 4:]):
        for layer in range(2):
            keys, values = cache.extend(layer, part + layer, -part)
        cache.advance(part.shape[2])
    assert torch.equal(keys, x + 1) and torch.equal(values, -x) and cache.length == 5
