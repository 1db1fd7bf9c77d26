"""Packed convolutions: the same numbers, gradients as before, and no stale copy of the weights."""

import pytest
import torch
from torch import nn

from amphion_core.modules.folding import fold_weight_norms
from amphion_core.modules.packed_conv import (
    PackedConv1d,
    PackedDepthwiseConv1d,
    pack_convolutions,
    packing_available,
)

pytestmark = pytest.mark.skipif(not packing_available(), reason="this torch has no oneDNN convolutions to pack for")


def network():
    torch.manual_seed(0)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(96, 80, 5, padding=4, dilation=2))
    return nn.Sequential(nn.Conv1d(8, 96, 1, bias=False), normed, nn.ReLU(), nn.Conv1d(80, 80, 3, padding=1, groups=80))


@pytest.mark.parametrize("length", [5, 64, 1000])
def test_packing_keeps_the_results(length):
    net = network()
    x = torch.randn(2, 8, length)
    with torch.no_grad():
        plain = net(x)
        fold_weight_norms(net)
        packed = pack_convolutions(net)(x)
    assert [type(part) for part in net] == [PackedConv1d, PackedConv1d, nn.ReLU, PackedDepthwiseConv1d]
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 99, 100, 101])
@pytest.mark.parametrize(
    ("kernel", "padding", "dilation"), [(1, 0, 1), (1, 2, 1), (5, 2, 1), (3, 4, 2), (4, 2, 1), (3, 1, 1)]
)
def test_every_length_equals_the_plain_convolution(length, kernel, padding, dilation):
    torch.manual_seed(0)
    plain = nn.Conv1d(70, 66, kernel, padding=padding, dilation=dilation)
    x = torch.randn(3, 70, length)
    with torch.no_grad():
        expected, packed = plain(x), PackedConv1d(plain)
        torch.testing.assert_close(packed(x), expected, atol=1e-5, rtol=1e-5)
        alone = torch.cat([packed(item[None]) for item in x])
        torch.testing.assert_close(alone, packed(x), atol=1e-5, rtol=1e-5)  # rounding only: neighbours have no effect


@pytest.mark.parametrize("length", [1, 2, 9, 200])
@pytest.mark.parametrize(
    ("kernel", "padding", "dilation", "bias"), [(3, 1, 1, True), (3, 9, 9, True), (5, 2, 1, False)]
)
def test_a_depthwise_convolution_equals_the_plain_one(length, kernel, padding, dilation, bias):
    torch.manual_seed(0)
    plain = nn.Conv1d(10, 10, kernel, padding=padding, dilation=dilation, groups=10, bias=bias)
    x = torch.randn(2, 10, length)
    with torch.no_grad():
        torch.testing.assert_close(PackedDepthwiseConv1d(plain)(x), plain(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "length"), [(1, 5), (1, 200), (5, 5), (5, 60)])
def test_weights_are_never_reordered_in_a_call_on_a_short_input(kernel, length):
    packed = PackedConv1d(nn.Conv1d(192, 192, kernel, padding=kernel // 2))
    with torch.no_grad(), torch.profiler.profile() as profile:
        packed(torch.randn(1, 192, length))
    operations = {event.key for event in profile.key_averages()}
    assert "aten::addmm" in operations
    assert not [name for name in operations if "convolution" in name]  # only these reorder weights


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
