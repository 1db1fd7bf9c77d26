"""Batch norm: the same as torch's without padding, and the same statistics from one process and from two."""

import torch
import torch.distributed as dist

from amphion_core.modules.frame_norm import FrameNorm


def test_batch_norm_leaves_padding_out():
    norm, plain = FrameNorm(3).train(), torch.nn.BatchNorm1d(3).train()
    x, mask = torch.randn(2, 3, 7), torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    with torch.no_grad():
        expected = plain(x.mT[mask])
        found = norm(torch.where(mask[:, None], x, 1e3), mask).mT[mask]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)


def test_without_a_mask_it_is_the_batch_norm_of_torch():
    norm, plain = FrameNorm(3), torch.nn.BatchNorm1d(3)
    x = torch.randn(2, 3, 7)
    torch.testing.assert_close(norm.train()(x), plain.train()(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(norm.eval()(x), plain.eval()(x), atol=1e-5, rtol=0)


def test_two_processes_have_the_running_statistics_of_one(monkeypatch):
    batches, mask = torch.randn(4, 2, 3, 7), torch.ones(2, 7, dtype=torch.bool)
    one, other, whole = FrameNorm(3), FrameNorm(3), FrameNorm(3)
    for batch in batches:
        whole(batch, mask)
    whole.after_update()
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    for batch in batches[::2]:
        one(batch, mask)
    for batch in batches[1::2]:
        other(batch, mask)
    rows = [torch.stack(norm._seen) for norm in (one, other)]
    monkeypatch.setattr(dist, "all_gather", lambda found, own: [a.copy_(b) for a, b in zip(found, rows, strict=True)])
    for norm in (one, other):
        norm.after_update()
        norm.after_update()  # nothing is left to be added
        for name, value in whole.state_dict().items():
            assert torch.equal(norm.state_dict()[name], value)
