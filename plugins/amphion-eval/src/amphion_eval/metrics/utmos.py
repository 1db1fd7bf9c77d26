"""UTMOS: predicts how listeners would rate synthetic speech, without a reference, 1 to 5.

Saeki et al.: "UTMOS: UTokyo-SaruLab System for VoiceMOS Challenge 2022", arXiv:2204.02152. Computed by the package
`utmos`, which downloads its checkpoint from a hub at the first use. It needs fairseq, so it is not an
extra of this distribution; install it into an environment where fairseq runs.
"""

import os
from functools import cache
from typing import Any

import torch

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import MissingPackage, WeightsError
from amphion_eval.analysis.signals import mono


class UTMOS(Metric):
    """Predicted mean opinion, 1 to 5. Its package needs fairseq, and downloads a model at the first use."""

    needs_packages = ("utmos",)

    class Config(BaseConfig):
        """Empty: there is nothing to configure."""

    config: Config
    unit = "MOS"
    higher_is_better = True
    needs = frozenset()
    sample_rate = 16000
    library = "utmos 1.1.10"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, MissingPackage without utmos, WeightsError if utmos cannot load its model."""
        wave = torch.from_numpy(mono(generated, what="generated")).float()[None]
        return Score(float(_scorer().calculate_wav(wave, self.sample_rate)))


@cache
def _scorer() -> Any:
    try:
        from utmos import Score as Scorer
    except ImportError as error:
        raise MissingPackage(f"UTMOS needs the package utmos: {error}", hint="pip install utmos") from error
    try:
        return Scorer()
    except Exception as error:
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise WeightsError(
            f"utmos cannot load its model{offline}: {error}",
            hint="run it once with network access",
        ) from error
