"""DistillMOS: predicts how listeners would rate speech, without a reference, 1 to 5.

Stahl, Gamper: "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality Assessment",
arXiv:2502.05356. Computed by `distillmos`, which contains the network of 4.1 M weights (MIT licence). It rates
overlapping windows of 7.68 seconds; the value is their mean.
"""

from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import Any

import torch

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import MissingPackage
from amphion_eval.analysis.signals import mono


class DistillMOS(Metric):
    """Predicted mean opinion, 1 to 5."""

    needs_packages = ("distillmos",)

    class Config(BaseConfig):
        """Empty: there is nothing to configure."""

    config: Config
    unit = "MOS"
    higher_is_better = True
    needs = frozenset()
    sample_rate = 16000
    library = "distillmos 0.9.1"

    @torch.inference_mode()
    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, MissingPackage without distillmos."""
        samples = torch.from_numpy(mono(generated, what="generated")).float()
        return Score(float(_network()(samples[None])))


@cache
def _network() -> Any:
    try:
        from distillmos import ConvTransformerSQAModel
    except ImportError as error:
        hint = "pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0; and torchaudio>=2.11"
        raise MissingPackage(f"DistillMOS needs distillmos: {error}", hint=hint) from error
    with redirect_stdout(StringIO()):  # it prints the path of its weights
        return ConvTransformerSQAModel().eval()
