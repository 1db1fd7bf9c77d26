"""Names in state dicts: remove wrappers and prefixes, rename weight norms, check every key before loading.

Publishers store a layer with weight norm in three ways: ``x.weight_g`` and ``x.weight_v`` (old torch),
``x.parametrizations.weight.original0`` and ``original1`` (new torch), or folded into ``x.weight`` alone. Our networks
use the new names; the functions here convert the other two. An ``import_state_dict`` is then four lines::

    state = strip_prefix(unwrap(state, "generator"), "module.")
    shapes = expected_shapes(lambda: HiFiGAN(config))
    state = to_parametrized(state, shapes)
    check_keys(state, shapes, "HiFi-GAN")
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.errors import WeightsError, nearest

G = ".parametrizations.weight.original0"  # torch.nn.utils.parametrizations.weight_norm, magnitude
V = ".parametrizations.weight.original1"  # and direction
SHOWN = 5  # an error message lists at most so many keys of each kind
LONGEST = 150  # characters of a key in a message


def unwrap(state: Mapping[str, Any], *wrappers: str) -> Mapping[str, Any]:
    """The state dict inside a checkpoint such as ``{"generator": {...}, "steps": 1000}``.

    The first of ``wrappers`` that is a key with a mapping is taken. Without any, ``state`` is returned unchanged.
    """
    for wrapper in wrappers:
        if isinstance(inner := state.get(wrapper), Mapping):
            return inner
    return state


def strip_prefix(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """``state`` without ``prefix`` in its names, if all have it: DistributedDataParallel adds ``module.``.

    Raises WeightsError for a name that is not text.
    """
    if odd := [name for name in state if not isinstance(name, str)]:
        raise WeightsError(
            f"a tensor of the checkpoint is named {str(odd[0])[:80]} ({type(odd[0]).__name__}), and names are text",
            hint="give the publisher's file of weights, not one of its optimiser",
        )
    if state and all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)


def to_parametrized(state: Mapping[str, Any], expected: Iterable[str]) -> dict[str, Any]:
    """``state`` with its weight norms named as ``torch.nn.utils.parametrizations.weight_norm`` does (dimension 0).

    ``expected`` are the network's tensor names. A folded ``x.weight`` is split where the network has a weight norm:
    direction v = weight, magnitude g = norm of v, so that g * v / norm of v is the weight again. A ``weight_v`` without
    a ``weight_g`` belongs to a spectral norm and stays as it is, like all other keys.

    >>> sorted(to_parametrized({"up.weight_g": torch.ones(2, 1, 1), "up.weight_v": torch.ones(2, 3, 4)}, []))
    ['up.parametrizations.weight.original0', 'up.parametrizations.weight.original1']
    """
    wanted = set(expected)
    renamed: dict[str, Any] = {}
    for name, value in state.items():
        layer, _, part = name.rpartition(".")
        if part == "weight_g":
            renamed[layer + G] = value
        elif part == "weight_v" and f"{layer}.weight_g" in state:
            renamed[layer + V] = value
        elif part == "weight" and layer + G in wanted and isinstance(value, Tensor) and value.dim():
            norm = renamed[layer + G] = torch.norm_except_dim(value.float(), 2, 0)
            renamed[layer + V] = value.masked_fill(norm == 0, 1)  # a channel of zeros has no direction: 0 * v / |v|
        else:
            renamed[name] = value
    return renamed


def to_folded(state: Mapping[str, Any]) -> dict[str, Any]:
    """``state`` with every weight norm, under old or new names, computed: ``x.weight`` = g * v / norm of v."""
    state = to_parametrized(state, ())
    folded: dict[str, Any] = {}
    for name, value in state.items():
        if name.endswith(V) and (g := state.get(name.removesuffix(V) + G)) is not None:
            folded[name.removesuffix(V) + ".weight"] = value * (g / torch.norm_except_dim(value, 2, 0))
        elif not (name.endswith(G) and name.removesuffix(G) + V in state):
            folded[name] = value
    return folded


def expected_shapes(build: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in the state dict of the network that ``build`` returns. It uses no memory."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}


def check_keys(state: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raise WeightsError unless ``state`` has exactly the ``expected`` names, each with a tensor of that shape.

    ``what`` names the network in the message. If fewer than half of the names are found, the checkpoint belongs to
    another model, and the message says so in one sentence. Otherwise it lists the keys that are missing, unexpected or
    of another shape.
    """
    missing = [name for name in expected if name not in state]
    if 2 * len(missing) > len(expected):
        head = ", ".join(name[:LONGEST] for name in list(state)[:3]) or "nothing"
        raise WeightsError(
            f"not a checkpoint of {what}: it has {len(expected) - len(missing)} of the network's "
            f"{len(expected)} tensors; it begins with {head}",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    unexpected = [name for name in state if name not in expected]
    other_shape = [
        f"{name} ({_shape(state[name])}, the network has {_shape(shape)})"
        for name, shape in expected.items()
        if name in state and (not isinstance(state[name], Tensor) or tuple(state[name].shape) != tuple(shape))
    ]
    problems = [
        f"{len(keys)} {kind}: {', '.join(key[:LONGEST] for key in keys[:SHOWN])}{', ...' if len(keys) > SHOWN else ''}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", other_shape))
        if keys
    ]
    if problems:
        close = nearest(missing[0], unexpected) if missing and unexpected else None
        raise WeightsError(
            f"{what}: the checkpoint does not fit the network: " + "; ".join(problems),
            hint=f"{close} may be {missing[0]}: check the layout"
            if close
            else "give the publisher's own config: amphion convert --config FILE",
        )


def _shape(value: Any) -> str:
    shape = value if isinstance(value, tuple) else getattr(value, "shape", None)
    return type(value).__name__ if shape is None else "x".join(map(str, shape)) or "scalar"
