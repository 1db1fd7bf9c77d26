"""CLAP score: cosine between the CLAP embeddings of a sound and of its caption, -1 to 1.

Wu et al., arXiv:2211.06687; a score of text to audio in Huang et al.: "Make-An-Audio", arXiv:2301.12661. A sound of
several windows has the mean of their vectors. Values of different models are not comparable; the variant names it.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Device, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Array, mono
from amphion_eval.pretrained import pretrained

if TYPE_CHECKING:
    from amphion_eval.embeddings.clap import CLAP


class CLAPScore(Metric):
    """Cosine of the CLAP embeddings of the generated sound and of its caption, -1 to 1."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The model and its device."""

        model: str = Field(
            default="laion/clap-htsat-unfused",
            description="folder of a transformers ClapModel with its tokenizer, or a hub name",
        )
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config
    unit = ""
    higher_is_better = True
    needs = frozenset({"text"})
    library = "transformers 5"
    sample_rate = 48000

    @property
    def variant(self) -> str:
        """The name of the model."""
        return Path(self.config.model).name

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence and without a caption, WeightsError without the model, MissingPackage."""
        if not text or not text.strip():
            raise DataError("a caption is needed", hint="--text FILE with lines id|caption")
        mono(generated, what="generated")
        sound = _unit(self._heard.embed(generated).vectors.mean(0, dtype=np.float64))
        return Score(float(sound @ _unit(self._of_text(text))))

    @torch.inference_mode()
    def _of_text(self, text: str) -> Array:
        model, tokenizer = self._loaded
        inputs = tokenizer([text], truncation=True, max_length=model.config.text_config.max_position_embeddings - 2)
        given = {
            name: torch.tensor(inputs[name], device=self.config.device) for name in ("input_ids", "attention_mask")
        }
        found = model.get_text_features(**given)
        return np.asarray(getattr(found, "pooler_output", found)[0].double().cpu().numpy())

    @cached_property
    def _heard(self) -> "CLAP":
        from amphion_eval.embeddings.clap import CLAP

        return CLAP(CLAP.Config(model=self.config.model, device=self.config.device))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return pretrained(self.config.model, self.config.device, model="ClapModel", processor="AutoTokenizer")


def _unit(vector: Array) -> Array:
    found: Array = vector / np.linalg.norm(vector)
    return found
