"""The form in which VITS infers on a GPU, run on a CPU: rounded sizes and a batch decoded at once change nothing."""

import pytest
import torch

import amphion_core as amphion
from amphion_core.modules import cuda_graphs
from amphion_tts.models.vits_speech import GPUSpeech
from amphion_vocoders.models.hifigan_gpu import GPUGenerator


@pytest.fixture(params=["1 speaker", "2 speakers", "regression"])
def net(request):
    fields = amphion.get("models", "tts/vits").example_config().model_dump()
    changes = {
        "1 speaker": {"n_speakers": 1, "speakers": ()},
        "2 speakers": {},
        "regression": {"stochastic_duration": False},
    }
    net = amphion.build("tts/vits", **fields | changes[request.param])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    net.for_inference()
    net.dec.packed = None
    return net


@pytest.fixture
def recordings(monkeypatch):
    """In place of CUDA graphs: calls the function at every replay."""
    made = []

    class Recording:
        def __init__(self, function, inputs, memory):
            made.append(function)
            self.function = function

        def replay(self, inputs):
            return self.function(*inputs)

    monkeypatch.setattr(cuda_graphs, "_Recording", Recording)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    return made


def test_rounded_sizes_and_one_pass_for_the_batch_change_nothing(net, recordings, monkeypatch):
    ids, lengths = torch.randint(0, 10, (2, 7), generator=torch.Generator().manual_seed(1)), torch.tensor([7, 4])
    speaker = torch.tensor([1, 0]) if net.config.n_speakers > 1 else None
    plain = net.synthesize(ids, lengths, speaker, seed=3)
    net.dec.packed = GPUGenerator(net.dec, "float32")
    assert isinstance(net._speech(), GPUSpeech)
    for _ in range(3):  # as met first, recorded, replayed
        made = net.synthesize(ids, lengths, speaker, seed=3)
        assert torch.equal(made.lengths, plain.lengths)
        assert torch.equal(made.durations, plain.durations)
        torch.testing.assert_close(made.wave, plain.wave, atol=1e-5, rtol=1e-4)
    assert len(recordings) == 2  # one for each half


def test_new_weights_end_the_recordings(net):
    net.dec.packed = GPUGenerator(net.dec, "float32")
    first = net._speech()
    assert net._speech() is first
    net.dec.packed = GPUGenerator(net.dec, "float32")
    assert net._speech() is not first
    net.load_state_dict(net.state_dict())
    assert not isinstance(net._speech(), GPUSpeech)
