"""How a run uses its device: reproducible or fast operations, the arithmetic of float32, compiled networks."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from amphion_core.errors import MissingPackage, RecipeError
from amphion_core.training.config import EngineConfig

# cuBLAS gives the same sums in every run only with a workspace of fixed size. Read when CUDA's libraries start.
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# Each size of input is compiled for itself: crops of a fixed length are the common case, and fixed sizes run faster.
COMPILE: dict[str, Any] = {"dynamic": False}
_NOT_DETERMINISTIC = re.compile(r"(\S+) does not have a deterministic implementation")
_WORKSPACE_MISSING = "uses CuBLAS"  # what torch says when the workspace was not set before CUDA started


@contextmanager
def settings(config: EngineConfig) -> Iterator[None]:
    """Run the block with torch set as ``config`` says; restore the earlier settings at its end.

    Enter it before anything is computed on a GPU, because cuBLAS reads its setting only once.

    Raises RecipeError for an operation without a deterministic implementation, when ``deterministic`` is set, and
    MissingPackage where ``compile`` finds no compiler.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    if config.deterministic:
        os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    torch.backends.cudnn.benchmark = config.cudnn_benchmark and not config.deterministic
    if torch.cuda.is_available() and config.device != "cpu":  # on a CPU the switch would change matrix products too
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.tf32
    try:
        yield
    except RuntimeError as error:
        if (translated := _translated(error)) is None:
            raise
        raise translated from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        if torch.cuda.is_available() and config.device != "cpu":
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def _translated(error: RuntimeError) -> RecipeError | MissingPackage | None:
    """The error that a reader of the recipe understands, for errors of torch about its settings; else None."""
    message = str(error)
    if found := _NOT_DETERMINISTIC.search(message):
        return RecipeError(
            f"engine.deterministic: the operation {found[1]} has no deterministic implementation on this device",
            hint="train with engine.deterministic=false, or on a CPU: engine.device=cpu",
        )
    if _WORKSPACE_MISSING in message and WORKSPACE in message:
        return RecipeError(
            f"engine.deterministic: the matrix products were started before {WORKSPACE} was set",
            hint=f"set it before Python starts: export {WORKSPACE}=:4096:8",
        )
    if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")) and "ompiler" in message:
        return MissingPackage(
            f"engine.compile: torch cannot compile the networks here: {message.splitlines()[0]}",
            hint="install a C++ compiler and Triton, or train with engine.compile=false",
        )
    return None


def compile_networks(networks: Mapping[str, nn.Module]) -> None:
    """Compile every network in place, with ``torch.compile``: parameters, their names and the state dict stay.

    Containers without a forward pass, such as a ModuleDict of discriminators, have their members compiled instead.
    Only training mode runs the compiled code: validation meets a new length in almost every batch, and each new length
    would be compiled again.
    """
    for network in networks.values():
        for module in _callable_parts(network):
            module.compile(**COMPILE)
            module._compiled_call_impl = _in_training_only(module, module._compiled_call_impl)


def _in_training_only(module: nn.Module, compiled: Any) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return (compiled if module.training else module._call_impl)(*args, **kwargs)

    return call


def _callable_parts(module: nn.Module) -> Iterator[nn.Module]:
    if type(module).forward is not nn.Module.forward:
        yield module
        return
    for child in module.children():
        yield from _callable_parts(child)
