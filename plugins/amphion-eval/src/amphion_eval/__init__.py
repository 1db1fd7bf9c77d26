"""Evaluation for Amphion: metrics with stated definitions, and ``evaluate`` over sets of files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Item": "amphion_eval.pairing", "Report": "amphion_eval.report", "evaluate": "amphion_eval.evaluation",
    "pair_folders": "amphion_eval.pairing", "plan": "amphion_eval.evaluation",
}  # fmt: skip
__all__ = ["Item", "Report", "evaluate", "pair_folders", "plan"]

if TYPE_CHECKING:
    from amphion_eval.evaluation import evaluate as evaluate, plan as plan
    from amphion_eval.pairing import Item as Item, pair_folders as pair_folders
    from amphion_eval.report import Report as Report
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
