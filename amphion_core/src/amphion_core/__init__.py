"""Amphion: audio, music and speech generation from separately installed plugins.

>>> import amphion_core as amphion
>>> "mel" in amphion.list("features")
True
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amphion_core import _torchaudio_guard

__version__ = "0.1.0"

_HOME = {
    "Audio": "amphion_core.audio",
    "build": "amphion_core.loading",
    "find": "amphion_core.registry",
    "get": "amphion_core.registry",
    "import_model": "amphion_core.loading",
    "list": "amphion_core.registry",
    "load": "amphion_core.loading",
    "task": "amphion_core.loading",
}
__all__ = ["Audio", "build", "find", "get", "import_model", "load", "task"]  # not list: it would hide the builtin

_torchaudio_guard.install()

if TYPE_CHECKING:
    from amphion_core.audio import Audio as Audio
    from amphion_core.loading import build as build, import_model as import_model, load as load, task as task
    from amphion_core.registry import find as find, get as get, names as list
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), "names" if name == "list" else name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted([*__all__, "list", "__version__"])
