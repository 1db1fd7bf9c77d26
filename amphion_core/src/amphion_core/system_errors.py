"""Errors of the system, of memory and of pydantic, as errors of Amphion: one clear sentence with a hint."""

import errno
import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from amphion_core.errors import AmphionError, RecipeError, shortened

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TORCH_MEMORY = ("can't allocate memory", "Storage size calculation overflowed")


def clear_errors(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, whose errors of the system, of memory and of pydantic become an AmphionError; see `explained`."""

    @functools.wraps(function)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except AmphionError:
            raise
        except Exception as error:
            if (clear := explained(error)) is None:
                raise
            raise clear from error

    return wrapped


def explained(error: BaseException) -> AmphionError | None:
    """The AmphionError that says what happened, or None for an error that only a programmer can understand.

    Explained are: a file that cannot be opened, read or written; a full disk; too many open files; no memory on the CPU
    or a GPU; data that are nested too deeply; a configuration that pydantic refuses.
    """
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # by pathlib, before Python 3.13
        path = str(error).partition("'")[2].rstrip("'")
        return AmphionError(
            f"{shortened(path)} is a link that leads back to itself", hint=f"remove the link: rm {shortened(path)}"
        )
    if isinstance(error, RecursionError):
        return AmphionError("the input is nested too deeply", hint="write it with fewer levels of brackets or keys")
    if is_memory_error(error):
        return AmphionError("there is not enough memory", hint="use a shorter input or a smaller batch")
    pydantic = sys.modules.get("pydantic_core")  # not imported: who raised its error has imported it
    if pydantic is not None and isinstance(error, pydantic.ValidationError):
        from amphion_core.config import problems

        return RecipeError("\n  ".join(problems(error)))
    return None


def _of_system(error: OSError) -> AmphionError | None:
    if error.errno in _NO_ROOM:
        where = f"{shortened(error.filename)} cannot be written: " if error.filename else ""
        return AmphionError(f"{where}the disk is full", hint="make room; df -h shows what is free")
    if error.errno is None:
        return None
    reason = error.strerror or str(error)
    if error.filename is None:
        return AmphionError(f"the system reports: {reason}", hint="run it again with --debug to see where")
    return AmphionError(f"{shortened(error.filename)}: {reason}", hint="check the path and its permissions")


def is_memory_error(error: BaseException | None) -> bool:
    """Whether memory ran out. torch has a class for GPUs, and a RuntimeError with certain words for the CPU."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TORCH_MEMORY)
