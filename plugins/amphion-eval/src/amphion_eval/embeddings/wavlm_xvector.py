"""WavLM x-vector: a speaker embedding by `transformers`; 512 dimensions with the default model.

Chen et al.: "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing", arXiv:2110.13900;
Snyder et al.: "X-Vectors: Robust DNN Embeddings for Speaker Recognition", ICASSP 2018. According to the
model card, two recordings are of one speaker if their cosine is at least 0.86.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import DataError
from amphion_eval.pretrained import pretrained

SHORTEST = 0.5  # seconds


class WavLMXVector(AudioEmbedding):
    """Mono audio at 16 kHz -> one vector (1, D)."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The model and its device."""

        model: str = Field(
            default="microsoft/wavlm-base-plus-sv",
            description="folder of a transformers WavLMForXVector, or a hub name",
        )
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 16000

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of dimensions; reading it loads the model."""
        return int(self._loaded[0].config.xvector_output_dim)

    @property
    def variant(self) -> str:
        """The name of the model."""
        return Path(self.config.model).name

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """One vector (1, D). Raises DataError below half a second, MissingPackage, WeightsError without the model."""
        if audio.duration < SHORTEST:
            raise DataError(f"an x-vector needs {SHORTEST} seconds of audio")
        model, extractor = self._loaded
        inputs = extractor(audio.samples, sampling_rate=self.sample_rate, return_tensors="pt").to(self.config.device)
        return Embedded(model(**inputs).embeddings.float().cpu().numpy())

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return pretrained(
            self.config.model, self.config.device, model="WavLMForXVector", processor="Wav2Vec2FeatureExtractor"
        )
