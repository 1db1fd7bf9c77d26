"""Evaluation for Amphion: metrics with stated definitions, and ``evaluate`` over sets of files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Item": "pairing", "Report": "report", "evaluate": "run", "pair_folders": "pairing", "plan": "run",
}  # fmt: skip
__all__ = ["Item", "Report", "evaluate", "pair_folders", "plan"]

if TYPE_CHECKING:
    from amphion_eval.evaluation.pairing import Item as Item, pair_folders as pair_folders
    from amphion_eval.evaluation.report import Report as Report
    from amphion_eval.evaluation.run import evaluate as evaluate, plan as plan
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(f"{__name__}.evaluation.{_HOME[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
