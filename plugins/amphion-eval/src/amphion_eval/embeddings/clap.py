"""CLAP: 512 dimensions that sound and its description share; of `transformers`.

Wu et al.: "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption Augmentation",
arXiv:2211.06687. The vector is the projected one of the audio branch, of unit length.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_core.errors import MissingPackage
from amphion_eval.analysis.windows import windows
from amphion_eval.pretrained import pretrained


class CLAP(AudioEmbedding):
    """Mono audio at 48 kHz -> one vector (1, D), whatever its length; the model hears up to 10 seconds of it."""

    class Config(BaseConfig):
        """Model and device."""

        model: str = Field(
            default="laion/clap-htsat-unfused",
            description="folder of a transformers ClapModel, or a hub name",
        )
        window: float = Field(default=10.0, gt=0.1, description="seconds a vector stands for; the last is what is left")
        device: Device = Field(default="cpu", description="where the network runs")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 48000

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The model's: known when it is loaded."""
        return int(self._loaded[0].config.projection_dim)

    @property
    def variant(self) -> str:
        """The model's name."""
        return Path(self.config.model).name

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """Raises MissingPackage, and WeightsError without the model."""
        model, extractor = self._loaded
        found = []
        for piece in windows(audio.samples, self.sample_rate, self.config.window):
            inputs = extractor(piece, sampling_rate=self.sample_rate, return_tensors="pt").to(self.config.device)
            features = model.get_audio_features(**inputs)
            found.append(getattr(features, "pooler_output", features))
        return Embedded(torch.cat(found).float().cpu().numpy())

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        try:
            from transformers import ClapFeatureExtractor, ClapModel
        except ImportError as error:
            raise MissingPackage("CLAP needs transformers", hint='pip install "amphion-eval[transformers]"') from error
        return pretrained(self.config.model, self.config.device, ClapModel, ClapFeatureExtractor)
