"""Loops that numba compiles where it is installed; elsewhere the same code runs in Python, many times slower."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

Loop = TypeVar("Loop", bound=Callable[..., Any])
COMPILED = find_spec("numba") is not None


def compile_loop(loop: Loop) -> Loop:
    """The loop as machine code, made when it is first called and kept on disk; it runs without Python's lock."""
    if not COMPILED:
        return loop
    from numba import njit

    made: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc"})(loop)
    return made
