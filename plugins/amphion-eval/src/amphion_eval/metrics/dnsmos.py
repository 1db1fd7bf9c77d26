"""DNSMOS: predicts how listeners would rate quality and noise, without a reference, 1 to 5.

Reddy, Gopal, Cutler: "DNSMOS P.835", arXiv:2110.01763; P.808: arXiv:2010.15258. Computed by `speechmos`, which contains
the networks (MIT licence). The value is the overall score of P.835; the details are the scores of speech and background
and the score of P.808. The networks were trained on wide-band speech of video calls; for other speech, compare values
only with each other.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import MissingPackage
from amphion_eval.analysis.signals import mono


class DNSMOS(Metric):
    """Predicted overall opinion of P.835, 1 to 5. Audio beyond full scale is scaled down."""

    needs_packages = ("speechmos",)

    class Config(BaseConfig):
        """Empty: there is nothing to configure."""

    config: Config
    unit = "MOS"
    higher_is_better = True
    needs = frozenset()
    sample_rate = 16000
    library = "speechmos 0.0.1.1"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, MissingPackage without speechmos."""
        samples = mono(generated, what="generated")
        found = _scorer()((samples / max(1.0, np.abs(samples).max())).astype(np.float32), self.sample_rate, False)
        details = {"signal": found["sig_mos"], "background": found["bak_mos"], "p808": found["p808_mos"]}
        return Score(float(found["ovrl_mos"]), {key: float(value) for key, value in details.items()})


@cache
def _scorer() -> Any:
    """The networks, with the threads that OMP_NUM_THREADS allows; by default onnxruntime uses all cores."""
    try:
        import onnxruntime
        from speechmos import dnsmos
    except ImportError as error:
        raise MissingPackage(f"DNSMOS needs speechmos: {error}", hint='pip install "amphion-eval[quality]"') from error
    folder = Path(dnsmos.__file__).with_name("dnsmos_models")
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    scorer = dnsmos.DNSMOS(*paths)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    scorer.onnx_sess, scorer.p808_onnx_sess = (
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in paths
    )
    return scorer
