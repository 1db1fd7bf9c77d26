"""CLAP: 512 dimensions in which a sound and its description lie near each other; by `transformers`.

Wu et al.: "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption Augmentation",
arXiv:2211.06687. The vector is the projection of the audio branch, with unit length.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from amphion_core.api import Audio, AudioEmbedding, BaseConfig, Device, Embedded
from amphion_eval.analysis.windows import windows
from amphion_eval.pretrained import pretrained


class CLAP(AudioEmbedding):
    """Mono audio at 48 kHz -> vectors (N, D), one per window; the model processes at most 10 seconds at once."""

    needs_packages = ("transformers",)

    class Config(BaseConfig):
        """The model, its window and its device."""

        model: str = Field(
            default="laion/clap-htsat-unfused",
            description="folder of a transformers ClapModel, or a hub name",
        )
        window: float = Field(
            default=10.0, gt=0.1, description="seconds of audio for each vector; the last window may be shorter"
        )
        device: Device = Field(default="cpu", description="device of the network, such as cpu or cuda:0")

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = 48000

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Number of dimensions; reading it loads the model."""
        return int(self._loaded[0].config.projection_dim)

    @property
    def variant(self) -> str:
        """The name of the model."""
        return Path(self.config.model).name

    @torch.inference_mode()
    def embed(self, audio: Audio) -> Embedded:
        """Vectors (N, D) of N windows. Raises MissingPackage, and WeightsError without the model."""
        model, extractor = self._loaded
        found = []
        for piece in windows(audio.samples, self.sample_rate, self.config.window):
            inputs = extractor(piece, sampling_rate=self.sample_rate, return_tensors="pt").to(self.config.device)
            features = model.get_audio_features(**inputs)
            found.append(getattr(features, "pooler_output", features))
        return Embedded(torch.cat(found).float().cpu().numpy())

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        return pretrained(self.config.model, self.config.device, model="ClapModel", processor="ClapFeatureExtractor")
