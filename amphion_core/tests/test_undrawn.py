"""Networks that are built for stored weights: no random values are drawn, and everything else is computed."""

import pytest
import torch
from torch import nn

import amphion_core as amphion
from amphion_core.checkpoints.undrawn import Undrawn
from amphion_core.stored_weights import Weights


@pytest.mark.parametrize("layer", [nn.Conv1d(4, 4, 3), nn.Linear(4, 4), nn.Embedding(4, 4)])
def test_the_values_of_parameters_are_not_drawn(layer):
    drawn = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with Undrawn():
        layer.reset_parameters()
        nn.init.normal_(layer.weight)
        nn.init.uniform_(tensor=layer.weight)
    torch.testing.assert_close(dict(layer.state_dict()), drawn, atol=0, rtol=0)


def test_other_values_are_drawn():
    with Undrawn():
        table = torch.zeros(1000).normal_()
        norm = nn.BatchNorm1d(4)
    assert table.std() > 0.5
    assert norm.weight.eq(1).all()


def test_global_random_numbers_stay_as_they_are():
    net = amphion.build("vocoder/hifigan", **amphion.get("models", "vocoder/hifigan").example_config().model_dump())
    stored = Weights("vocoder/hifigan", net.config.model_dump(mode="json"), net.state_dict())
    before = torch.random.get_rng_state()
    loaded = stored.network()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.testing.assert_close(dict(loaded.state_dict()), dict(net.state_dict()), atol=0, rtol=0)
