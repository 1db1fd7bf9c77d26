"""Packed convolutions: the same numbers, gradients as before, and no stale copy of the weights."""

import pytest
import torch
from torch import nn

from amphion_core.modules.folding import fold_weight_norms
from amphion_core.modules.packed_conv import PackedConv1d, pack_convolutions, packing_available

pytestmark = pytest.mark.skipif(not packing_available(), reason="this torch has no oneDNN convolutions to pack for")


def network():
    torch.manual_seed(0)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(96, 80, 5, padding=4, dilation=2))
    return nn.Sequential(nn.Conv1d(8, 96, 1, bias=False), normed, nn.ReLU(), nn.Conv1d(80, 80, 3, padding=1, groups=80))


@pytest.mark.parametrize("length", [5, 64, 1000])
def test_packing_changes_no_number(length):
    net = network()
    x = torch.randn(2, 8, length)
    with torch.no_grad():
        plain = net(x)
        fold_weight_norms(net)
        packed = pack_convolutions(net)(x)
    assert [type(part) for part in net] == [PackedConv1d, PackedConv1d, nn.ReLU, nn.Conv1d]  # groups stay as they are
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-5)


def test_names_and_gradients_stay():
    net = network()
    fold_weight_norms(net)
    names = set(net.state_dict())
    pack_convolutions(net)
    assert set(net.state_dict()) == names
    x = torch.randn(1, 8, 9, requires_grad=True)
    net(x).sum().backward()
    assert x.grad is not None and bool(x.grad.any())


def test_weights_loaded_later_are_used():
    one, other = network(), network()
    for net in (one, other):
        fold_weight_norms(net)
    state = {name: value + 1 for name, value in other.state_dict().items()}
    pack_convolutions(one).load_state_dict(state)
    other.load_state_dict(state)
    x = torch.randn(1, 8, 20)
    with torch.no_grad():
        torch.testing.assert_close(one(x), other(x), atol=1e-4, rtol=1e-4)


def test_folding_leaves_parameters():
    net = network()
    fold_weight_norms(net)
    assert "1.weight" in dict(net.named_parameters()) and "1.weight" in net.state_dict()
