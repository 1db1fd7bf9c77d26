"""How a run uses its device: settings are restored, errors translated, and compiled networks keep their names."""

import copy
import os

import pytest
import torch
from torch import nn

from amphion_core.errors import RecipeError
from amphion_core.training.config import EngineConfig
from amphion_core.training.device import WORKSPACE, compile_networks, settings


def test_deterministic_is_on_inside_and_as_before_after(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with pytest.raises(KeyError), settings(EngineConfig(deterministic=True, cudnn_benchmark=True)):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ[WORKSPACE] == ":4096:8"
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark
    os.environ.pop(WORKSPACE)


def test_a_workspace_that_the_user_chose_stays(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with settings(EngineConfig(deterministic=True)):
        assert os.environ[WORKSPACE] == ":16:8"


@pytest.mark.parametrize("tf32", [True, False])
def test_tf32_is_set_for_products_and_convolutions_of_a_gpu(monkeypatch, tf32):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with settings(EngineConfig(tf32=tf32)):
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (tf32, tf32)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_a_run_on_a_cpu_leaves_matrix_products_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.get_float32_matmul_precision()
    with settings(EngineConfig(tf32=True, device="cpu")):
        assert torch.get_float32_matmul_precision() == before


def test_an_operation_that_cannot_be_deterministic_is_named():
    with (
        pytest.raises(RecipeError, match=r"engine\.deterministic: the operation put_ has no deterministic") as found,
        settings(EngineConfig(deterministic=True)),
    ):
        torch.zeros(2).put_(torch.tensor([0]), torch.tensor([1.0]))  # refused on every device
    assert "engine.deterministic=false" in str(found.value.hint)


def test_another_error_passes_unchanged():
    with pytest.raises(RuntimeError, match=r"^out of memory$"), settings(EngineConfig()):
        raise RuntimeError("out of memory")


class Judges(nn.Module):
    """A network with a forward pass around a weight-normed convolution."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 3, padding=1))

    def forward(self, x):
        return torch.tanh(self.conv(x)) * 2


def test_compiled_networks_keep_names_results_and_gradients():
    torch.manual_seed(0)
    plain = nn.ModuleDict({"a": Judges(), "b": Judges()})
    compiled = copy.deepcopy(plain)
    compile_networks({"judges": compiled})
    assert list(compiled.state_dict()) == list(plain.state_dict())
    x = torch.randn(2, 2, 9)
    results = []
    for judges in (plain, compiled):
        value = judges["a"](x)
        value.square().sum().backward()
        results.append((value.detach(), judges["a"].conv.parametrizations.weight.original1.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_only_training_mode_runs_compiled_code():
    calls = []
    network = Judges()
    compile_networks({"a": network})
    inner = network._compiled_call_impl
    network.register_forward_hook(lambda *a: calls.append(torch.compiler.is_compiling()))
    network.eval()(torch.zeros(1, 2, 4))
    assert inner is not None
    assert calls == [False]
    assert copy.deepcopy(network)._compiled_call_impl is None  # an average of the network is not compiled
