"""WavLM x-vector: a speaker embedding of `transformers`; 512 dimensions with the default model.

Chen et al.: "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing", arXiv:2110.13900;
Snyder et al.: "X-Vectors: Robust DNN Embeddings for Speaker Recognition", ICASSP 2018. The model card calls two
recordings one speaker from a cosine of 0.86.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import DataError, MissingPackage
from amphion_eval.pretrained import pretrained

SHORTEST = 0.5  # seconds


class WavLMXVector(AudioEmbedding):
    """Mono audio at 16 kHz -> one vector (1, D)."""

    class Config(BaseConfig):
        """Model and device."""

        model: str = Field(
            default="microsoft/wavlm-base-plus-sv",
            description="folder of a transformers WavLMForXVector, or a hub name",
        )
        device: Device = Field(default="cpu", description="where the network runs")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 16000

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The model's: known when it is loaded."""
        return int(self._loaded[0].config.xvector_output_dim)

    @property
    def variant(self) -> str:
        """The model's name."""
        return Path(self.config.model).name

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """Raises DataError below half a second, MissingPackage, and WeightsError without the model."""
        if audio.duration < SHORTEST:
            raise DataError(f"an x-vector needs {SHORTEST} seconds of audio")
        model, extractor = self._loaded
        inputs = extractor(audio.samples, sampling_rate=self.sample_rate, return_tensors="pt").to(self.config.device)
        return Embedded(model(**inputs).embeddings.float().cpu().numpy())

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        try:
            from transformers import Wav2Vec2FeatureExtractor, WavLMForXVector
        except ImportError as error:
            raise MissingPackage("WavLM needs transformers", hint='pip install "amphion-eval[transformers]"') from error
        return pretrained(self.config.model, self.config.device, WavLMForXVector, Wav2Vec2FeatureExtractor)
