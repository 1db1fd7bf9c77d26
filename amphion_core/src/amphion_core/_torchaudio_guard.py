"""Lets torchaudio load beside a CPU build of torch; transformers and diffusers import torchaudio when it is installed.

The public Linux wheel links its extension library against CUDA, so ``import torchaudio`` fails on a CPU build with
``OSError: libc10_cuda.so``. This module catches a failure of the submodule ``torchaudio._extension`` only, and puts
torchaudio into its own state "extension not built", in which its pure Python parts work. Where the wheel loads,
nothing changes. It uses the standard library only, because it runs with every ``import amphion_core``.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_GUARDED = "torchaudio._extension"


class _Finder:
    """Finds the guarded module only, and gives it a loader that survives the missing CUDA libraries."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _GUARDED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # importlib.abc costs 7 ms to import
        return spec


class _Loader:
    """The real loader. When it fails, the module gets the names that torchaudio reads, set to "not available"."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:  # get_source and the like, for tracebacks and inspect
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        try:
            self._real.exec_module(module)
        except (OSError, ImportError, RuntimeError, AttributeError) as error:
            reason = f"torchaudio's compiled extension does not load here: {error}"

            def fail_if_no_align(function: Callable[..., Any]) -> Callable[..., Any]:
                def unavailable(*args: Any, **kwargs: Any) -> Any:
                    raise RuntimeError(f"{function.__name__} is not available: {reason}")

                return unavailable

            vars(module).update(
                _IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=fail_if_no_align
            )


def install() -> None:
    """Put the guard in place, once. It costs nothing until torchaudio is imported."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
