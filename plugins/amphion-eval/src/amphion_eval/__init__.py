"""Evaluation for Amphion: metrics with stated definitions, and ``evaluate`` over sets of files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {"Item": "amphion_eval.evaluation", "Report": "amphion_eval.evaluation", "evaluate": "amphion_eval.evaluation"}
__all__ = ["Item", "Report", "evaluate"]

if TYPE_CHECKING:
    from amphion_eval.evaluation import Item as Item, Report as Report, evaluate as evaluate
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
