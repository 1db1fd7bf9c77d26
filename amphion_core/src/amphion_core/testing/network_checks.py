"""The checks of every model. Those of its family are in ``family_checks.py``."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from amphion_core.errors import RecipeError
from amphion_core.families import ModelArchitecture
from amphion_core.registry import ComponentRef
from amphion_core.testing.base import Check, CheckFailed, example_config, require, require_described, tensors

LIMIT = 1_000_000  # parameters of an example


def checks_for(ref: ComponentRef) -> Iterator[Check]:
    """The checks that apply to a reference."""
    if ref.kind == "models":
        yield from MODEL


@cache
def _build(ref: ComponentRef) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ref.load()(example_config(ref))


def check_example_is_small(ref: ComponentRef) -> None:
    """``example_config`` builds a network under a million parameters."""
    count = sum(parameter.numel() for parameter in _build(ref).parameters())
    require(count < LIMIT, f"the example has {count:,} parameters")


def check_forward(ref: ComponentRef) -> None:
    """``forward(**example_inputs())`` works on the CPU and gives finite numbers."""
    net = _build(ref)
    found = list(tensors(net(**net.example_inputs())))
    require(found, "forward returns no tensor")
    require(all(bool(torch.isfinite(tensor).all()) for tensor in found), "forward gives numbers that are not finite")


def check_gradient(ref: ComponentRef) -> None:
    """A gradient reaches every parameter that requires one; frozen parts of a model require none."""
    net = _build(ref).train()
    if not list(net.parameters()):
        return
    net.zero_grad()
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(1)
        total = sum(
            (tensor.float() * torch.rand(tensor.shape)).sum()
            for tensor in tensors(net(**net.example_inputs()))
            if tensor.requires_grad
        )
    require(isinstance(total, Tensor), "no output of forward depends on the parameters")
    total.backward()
    learned = [(name, parameter) for name, parameter in net.named_parameters() if parameter.requires_grad]
    dead = [name for name, parameter in learned if parameter.grad is None]
    require(not dead, f"no gradient reaches {dead[:5]}")
    net.zero_grad()


def check_state_dict(ref: ComponentRef) -> None:
    """The state dict goes through safetensors bit for bit and loads into a new network."""
    from safetensors.torch import load, save

    net = _build(ref)
    state = {name: tensor.contiguous().clone() for name, tensor in net.state_dict().items()}
    again = load(save(state)) if state else {}
    require(all(torch.equal(state[name], again[name]) for name in state), "safetensors changes the state dict")
    ref.load()(example_config(ref)).load_state_dict(again)


def check_controls(ref: ComponentRef) -> None:
    """``Controls`` are described, with ranges and defaults; the error for an unknown control lists the names."""
    component = ref.load()
    require_described(component.Controls, "Controls")
    try:
        component.Controls()
    except ValueError as error:
        raise CheckFailed("a control has no default; give it None for the model's own value") from error
    try:
        _build(ref).controls({"no_such_control": 1})
    except RecipeError as error:
        named = all(name in f"{error.message} {error.hint}" for name in component.Controls.model_fields)
        require(named, "the error for an unknown control does not list the controls")
    else:
        raise CheckFailed("an unknown control is accepted")


@torch.no_grad()
def check_onnx_graph(ref: ComponentRef) -> None:
    """A graph for ``amphion export`` computes at both lengths, is not random, and describes its inputs and outputs.

    Nothing is exported, which would take seconds.
    """
    cls = ref.load()
    if cls.onnx_graph is ModelArchitecture.onnx_graph:
        return
    graph = cls(example_config(ref)).eval().onnx_graph()
    for length in graph.lengths:
        inputs = graph.inputs(length)
        found, again = (list(tensors(graph.module(**inputs))) for _ in range(2))
        require(len(found) == len(graph.outputs), f"the graph returns {len(found)} tensors for {graph.outputs}")
        equal = all(map(torch.equal, found, again))
        require(equal, "the graph is random for its example inputs; multiply what it draws by an input that is 0")
    for name in (*inputs, *graph.outputs):
        require(graph.described.get(name), f"{name}: the graph does not say what it is")
    for name, axes in graph.axes.items():
        require(name in inputs, f"axes: {name} is no input of the graph")
        require(max(axes, default=0) < inputs[name].dim(), f"axes: {name} has {inputs[name].dim()} axes only")
        alone = [axis for axis in axes if inputs[name].shape[axis] < 2]
        require(not alone, f"{name}: the example has size 1 at the axes {alone}, which may vary; give it 2 or more")


MODEL: tuple[Check, ...] = (
    check_example_is_small, check_forward, check_gradient, check_state_dict, check_controls, check_onnx_graph,
)  # fmt: skip
