"""VITS on several threads: the same speech as on one, for short and long texts and for padded batches."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.modules import workers


@pytest.mark.parametrize("length", [1, 4, 90])
def test_the_number_of_threads_does_not_change_the_speech(monkeypatch, length):
    torch.manual_seed(0)
    config = amphion.get("models", "tts/vits").example_config()
    net = amphion.build("tts/vits", **config.model_dump()).for_inference()
    for parameter in net.flow.parameters():  # a new flow is the identity
        torch.nn.init.normal_(parameter, 0, 0.2)
    net.load_state_dict(net.state_dict())  # packed layers copy their weights again
    net.for_inference()
    ids, lengths = torch.randint(0, 10, (2, length)), torch.tensor([length, max(1, length - 1)])
    speaker, before, pools = torch.tensor([0, 1]), torch.get_num_threads(), []
    pool = workers._pool
    monkeypatch.setattr(workers, "_pool", lambda count: pools.append(count) or pool(count))
    try:
        made = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made[threads] = net.synthesize(ids, lengths, speaker, seed=3)
        assert pools  # two threads did use workers
        assert torch.equal(made[1].durations, made[2].durations)
        torch.testing.assert_close(made[1].wave, made[2].wave, atol=1e-5, rtol=0)
    finally:
        torch.set_num_threads(before)


def test_the_flow_in_pieces_equals_the_whole(monkeypatch):
    from amphion_core.modules import latent_flow
    from amphion_core.modules.masks import length_mask

    torch.manual_seed(0)
    flow = latent_flow.Flow(8, 8, 4).eval()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    z, condition = torch.randn(2, 8, 150), torch.randn(2, 4, 1)
    mask = length_mask(torch.tensor([150, 101]), 150)
    counts: list[int] = []
    run_pieces = latent_flow.run_pieces
    monkeypatch.setattr(latent_flow, "run_pieces", lambda pieces: counts.append(len(pieces)) or run_pieces(pieces))
    before = torch.get_num_threads()
    try:
        with torch.no_grad():
            torch.set_num_threads(1)
            whole = flow.reverse(z, mask, condition)
            torch.set_num_threads(2)
            torch.testing.assert_close(flow.reverse(z, mask, condition), whole, atol=1e-5, rtol=1e-5)
    finally:
        torch.set_num_threads(before)
    assert counts == [4] * 4  # one list of pieces for each coupling
