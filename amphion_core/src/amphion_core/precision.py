"""The precision of inference: bfloat16 on devices where it is faster, float32 elsewhere."""

import warnings
from typing import Literal

import torch

from amphion_core.errors import RecipeError

Precision = Literal["float32", "bf16"]
"""What inference computes in. bf16 is used only on devices where it is faster."""


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices faster than float32 ones.

    A CPU needs oneDNN, and AMX tiles or AVX-512 BF16 dot products. A GPU needs bfloat16 in hardware.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    queries = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private functions of torch, which it may drop
    return any(bool(getattr(torch.cpu, name, bool)()) for name in queries)


def check_precision(precision: Precision) -> None:
    """Raise RecipeError unless it is float32 or bf16."""
    if not isinstance(precision, str) or precision not in ("float32", "bf16"):
        raise RecipeError(f"precision: {precision!r} is neither float32 nor bf16", hint='precision="bf16"')


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """``precision`` if the device supports it well, else float32 with a warning.

    Raises RecipeError unless it is float32 or bf16.
    """
    check_precision(precision)
    if precision == "bf16" and not bf16_is_fast(device):
        warnings.warn(f"this {device.type} has no fast bfloat16, so it stays float32", RuntimeWarning, stacklevel=3)
        return "float32"
    return precision
