"""The learned aligner: its prior, its losses against brute force, and that padding changes nothing."""

import itertools

import numpy as np
import pytest
import torch

from amphion_core.errors import DataError
from amphion_tts.models.aligner import (
    BLANK,
    Aligner,
    beta_binomial_prior,
    binarization_loss,
    forward_sum_loss,
    hard_durations,
)


def collapsed(path):
    """A path over 0 (blank) and tokens without repetitions and blanks."""
    return [token for token, _ in itertools.groupby(path) if token]


@pytest.mark.parametrize(("frames", "tokens"), [(1, 1), (4, 2), (5, 3), (6, 4)])
def test_the_forward_sum_is_the_sum_over_all_monotonic_paths(frames, tokens):
    log_p = torch.randn(1, frames, tokens, generator=torch.Generator().manual_seed(frames))
    found = forward_sum_loss(log_p, torch.tensor([tokens]), torch.tensor([frames]))
    scores = torch.cat([torch.full((frames, 1), BLANK), log_p[0]], 1).softmax(1).double().numpy()
    paths = itertools.product(range(tokens + 1), repeat=frames)
    wanted = list(range(1, tokens + 1))
    likelihood = sum(scores[range(frames), path].prod() for path in map(list, paths) if collapsed(path) == wanted)
    np.testing.assert_allclose(found.item(), -np.log(likelihood), rtol=1e-5)  # float32


def test_the_forward_sum_of_an_item_does_not_depend_on_its_padding():
    log_p = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0))
    log_p[1, :, 2:] = -1e4
    lengths, frames = torch.tensor([4, 2]), torch.tensor([9, 5])
    both = forward_sum_loss(log_p, lengths, frames)
    alone = forward_sum_loss(log_p[1:, :5, :2], lengths[1:], frames[1:])
    torch.testing.assert_close(both[1:], alone)


def test_the_binarization_loss_is_the_divergence_of_a_path_from_the_soft_alignment():
    log_p = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1))
    path, durations = hard_durations(log_p, torch.tensor([3]), torch.tensor([5]))
    soft = log_p.softmax(-1).clamp_min(1e-30)
    target = path.clamp_min(1e-30)
    divergence = (path * (target.log() - soft.log())).sum()
    torch.testing.assert_close(binarization_loss(log_p, path)[0], divergence)
    assert durations.sum() == 5 and durations.min() >= 1


@pytest.mark.parametrize(("frames", "tokens"), [(1, 1), (7, 3), (40, 12), (300, 60)])
def test_the_prior_is_scipys_beta_binomial(frames, tokens):
    from scipy.stats import betabinom

    found = beta_binomial_prior(torch.tensor([tokens]), torch.tensor([frames]), frames + 2, tokens + 3)[0]
    rows = [betabinom(tokens - 1, n, frames - n + 1).logpmf(np.arange(tokens)) for n in range(1, frames + 1)]
    np.testing.assert_allclose(found[:frames, :tokens], np.array(rows), atol=1e-4)
    assert not found[frames:].any() and not found[:, tokens:].any()
    assert found[:frames, :tokens].exp().sum(1).numpy() == pytest.approx(np.ones(frames), abs=1e-4)


def test_the_scores_of_an_item_do_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    aligner = Aligner(10, 8, channels=6, hidden=12)
    ids, mel = torch.randint(0, 10, (2, 5)), torch.randn(2, 8, 11)
    ids[1, 3:], mel[1, :, 7:] = 0, 0
    both = aligner(ids, torch.tensor([5, 3]), mel, torch.tensor([11, 7]))
    alone = aligner(ids[1:, :3], torch.tensor([3]), mel[1:, :, :7], torch.tensor([7]))
    torch.testing.assert_close(both[1:, :7, :3], alone)
    assert both[1, :, 3:].max() < -1e3


def test_an_item_with_fewer_frames_than_tokens_is_refused():
    with pytest.raises(DataError, match="item 0 has 2 frames for 3 tokens"):
        hard_durations(torch.zeros(1, 2, 3), torch.tensor([3]), torch.tensor([2]))
