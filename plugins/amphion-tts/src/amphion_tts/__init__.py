"""Text to speech for Amphion: text frontends, VITS, and the task ``tts``. Public names load when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "TTSRequest": "amphion_tts.request", "TTSTask": "amphion_tts.task", "VITS": "amphion_tts.models.vits",
    "continuation": "amphion_tts.continuing",
}  # fmt: skip
__all__ = ["TTSRequest", "TTSTask", "VITS", "continuation"]

if TYPE_CHECKING:
    from amphion_tts.continuing import continuation as continuation
    from amphion_tts.models.vits import VITS as VITS
    from amphion_tts.request import TTSRequest as TTSRequest
    from amphion_tts.task import TTSTask as TTSTask
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
