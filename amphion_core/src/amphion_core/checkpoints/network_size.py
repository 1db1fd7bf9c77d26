"""A limit to the size of a network that is built: a wrong number in a configuration must not fill the memory."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules import module as hooks

from amphion_core.errors import RecipeError

_OVERFLOWS = ("can't allocate memory", "overflow", "storage size calculation", "invalid shape", "negative dimension")


@contextmanager
def bounded(where: str, most: int | None = None) -> Iterator[None]:
    """Networks built in this block have at most ``most`` bytes of parameters and buffers; None: the computer's memory.

    Raises RecipeError as soon as a layer passes the limit, before its values are drawn; ``where`` begins the message.
    """
    limit = most if most is not None else _memory()
    thread, total = threading.get_ident(), 0

    def count(_module: Any, name: str, tensor: Any) -> None:
        nonlocal total
        if tensor is None or tensor.is_meta or threading.get_ident() != thread:
            return
        total += tensor.nbytes
        if total > limit:
            raise _too_large(where, f"more than {limit / 1e9:.1f} GB of weights are needed for it")

    handles = (
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
    )
    try:
        yield
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        if isinstance(error, MemoryError | OverflowError) or any(words in str(error).lower() for words in _OVERFLOWS):
            raise _too_large(where, "a layer of it does not fit into the memory") from error
        raise
    finally:
        for handle in handles:
            handle.remove()


def _too_large(where: str, why: str) -> RecipeError:
    return RecipeError(
        f"{where}: the network cannot be built: {why}", hint="check the numbers of channels, layers and kernels"
    )


def _memory() -> int:
    """Bytes of this computer's memory; 64 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 64 << 30
