"""Names in state dicts: every way to store a weight norm loads, and every key that does not fit is named."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from amphion_core.checkpoints.weight_names import (
    check_keys,
    expected_shapes,
    strip_prefix,
    to_folded,
    to_parametrized,
    unwrap,
)
from amphion_core.errors import WeightsError


def network():
    torch.manual_seed(0)
    return nn.Sequential(weight_norm(nn.Conv1d(3, 4, 5)), nn.Conv1d(4, 2, 1, bias=False))


def old_names(state):
    """As torch.nn.utils.weight_norm stored them."""
    g, v = "parametrizations.weight.original0", "parametrizations.weight.original1"
    return {name.replace(g, "weight_g").replace(v, "weight_v"): value for name, value in state.items()}


def test_old_new_and_folded_weight_norms_are_the_same_network():
    net, x = network(), torch.randn(2, 3, 9)
    state = net.state_dict()
    for given in (state, old_names(state), to_folded(state), to_folded(old_names(state))):
        again = network()
        again.load_state_dict(to_parametrized(given, state))
        torch.testing.assert_close(again(x), net(x), atol=1e-6, rtol=0)


def test_a_folded_weight_stays_folded_where_the_network_has_no_weight_norm():
    assert set(to_parametrized({"1.weight": torch.zeros(2, 4, 1)}, network().state_dict())) == {"1.weight"}


def test_a_transposed_convolution_is_normed_over_each_input():
    net = nn.Sequential(weight_norm(nn.ConvTranspose1d(4, 2, 6)))
    split = to_parametrized(to_folded(net.state_dict()), net.state_dict())
    torch.testing.assert_close(split["0.parametrizations.weight.original0"], net[0].parametrizations.weight.original0)


def test_spectral_norm_is_left_alone():
    state = {"conv.weight_orig": torch.ones(2, 2), "conv.weight_u": torch.ones(2), "conv.weight_v": torch.ones(2)}
    assert to_parametrized(state, ()) == state and to_folded(state) == state


def test_wrappers_and_prefixes_come_off_only_where_all_have_them():
    inner = {"module.a": 1, "module.b": 2}
    assert unwrap({"generator": inner, "steps": 7}, "model", "generator") is inner
    assert unwrap(inner, "generator") is inner
    assert strip_prefix(inner, "module.") == {"a": 1, "b": 2}
    assert strip_prefix({"module.a": 1, "b": 2}, "module.") == {"module.a": 1, "b": 2}


def test_expected_shapes_take_no_memory_and_agree_with_the_network():
    shapes = expected_shapes(network)
    assert shapes == {name: tuple(tensor.shape) for name, tensor in network().state_dict().items()}
    assert expected_shapes(lambda: nn.Linear(10**6, 10**6))["weight"] == (10**6, 10**6)  # 4 TB


def test_exactly_the_expected_keys_pass():
    check_keys(network().state_dict(), expected_shapes(network), "test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.bias"), r"1 missing: 0\.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 unexpected: extra"),
        (lambda state: state.update({"1.weight": torch.zeros(2, 4, 3)}), r"1\.weight \(2x4x3, the network has 2x4x1\)"),
        (lambda state: state.update({"1.weight": "text"}), r"1\.weight \(str, the network has 2x4x1\)"),
    ],
)
def test_a_key_that_does_not_fit_is_named(change, message):
    state = network().state_dict()
    change(state)
    with pytest.raises(WeightsError, match=message):
        check_keys(state, expected_shapes(network), "test")


def test_another_models_checkpoint_is_one_sentence():
    with pytest.raises(
        WeightsError, match=r"not a checkpoint of test: it has 0 of .*begins with encoder\.weight"
    ) as caught:
        check_keys({"encoder.weight": torch.zeros(1)}, expected_shapes(network), "test")
    assert "\n" not in caught.value.message
