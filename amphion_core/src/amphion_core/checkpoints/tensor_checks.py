"""Checks of the tensors in a checkpoint: of a kind that networks can use, and finite."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.errors import WeightsError

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
MOST = 64 << 20  # bytes of one tensor that may repeat its stored values
SHOWN = 3
_PLAIN = "ask its publisher for plain float32 or float16 weights"


def tensors_in(state: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested mappings and sequences, with its dotted name; each container once."""
    waiting: list[tuple[str, Any]] = [("", state)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
            waiting += [(f"{name}.{key}" if name else str(key), item) for key, item in reversed(items)]


def check_readable(state: Mapping[Any, Any], where: str) -> None:
    """Raise WeightsError unless ``state`` has tensors, all of them plain: dense, with values, not quantised.

    Whole numbers and other types are accepted here, because checkpoints also hold counters and optimisers.
    """
    empty = True
    for name, tensor in tensors_in(state):
        empty = False
        if problem := _unusual(tensor):
            raise WeightsError(f"{where}: the tensor {name} {problem}", hint=_PLAIN)
    if empty:
        keys = ", ".join(str(key)[:40] for key in list(state)[:SHOWN]) or "nothing"
        raise WeightsError(f"{where} holds no tensors; it holds {keys}", hint="give the publisher's file of weights")


def check_values(state: Mapping[str, Tensor], current: Mapping[str, Tensor], what: str) -> None:
    """Raise WeightsError unless each tensor has the kind of values that ``current`` has by that name, all finite.

    Any of float32, float16, bfloat16 and float64 stands for any other of them.
    """
    for name, here in current.items():
        tensor = state[name]
        if tensor is here:  # a part that the checkpoint does not store
            continue
        if problem := _unusual(tensor) or _other_kind(tensor, here):
            raise WeightsError(f"{what}: the tensor {name} {problem}", hint=_PLAIN)
        if here.is_floating_point() and not _finite(tensor.to(here.dtype) if tensor.dtype == torch.float64 else tensor):
            count = int((~tensor.to(torch.float32).isfinite()).sum())
            raise WeightsError(
                f"{what}: the tensor {name} has {count:,} of {tensor.numel():,} values that are not finite"
                " (NaN or infinite)",
                hint="the training that wrote it has diverged, or the file is damaged: use an earlier checkpoint",
            )


def _other_kind(tensor: Tensor, here: Tensor) -> str:
    """Whether a tensor holds another kind of numbers than the network, in words that follow its name."""
    if tensor.dtype == here.dtype or (tensor.dtype in FLOATS and here.dtype in FLOATS):
        return ""
    whole = not any(each.is_floating_point() or each.is_complex() for each in (tensor, here))
    if whole and torch.bool not in (tensor.dtype, here.dtype):  # a counter may have 32 or 64 bits
        return ""
    return f"is {_kind(tensor)}; the network has {_kind(here)} there"


def _finite(tensor: Tensor) -> bool:
    """Whether all values are finite. Their sum is, if they are, and is much faster; a sum may also overflow."""
    return math.isfinite(tensor.sum().item()) or bool(tensor.isfinite().all())


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _unusual(tensor: Tensor) -> str:
    """What keeps a tensor from being used as weights, in words that follow its name; empty for a plain tensor."""
    if tensor.is_meta:
        return "has a shape and no values"
    if tensor.is_nested or tensor.layout != torch.strided:
        return f"is sparse or nested ({str(tensor.layout).removeprefix('torch.')})"
    if tensor.is_quantized:
        return f"is quantised ({_kind(tensor)})"
    if tensor.nbytes > max(MOST, tensor.untyped_storage().nbytes()):
        return f"claims {tensor.numel():,} values, more than the file holds"
    return ""
