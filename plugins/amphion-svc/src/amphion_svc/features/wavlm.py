"""WavLM: hidden states of a network that also learned to separate overlapping speakers.

Chen et al.: "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing", arXiv:2110.13900.
Layouts read: transformers (a folder or a hub name). The large model has 1024 channels and 24 layers.
"""

from typing import Any

from pydantic import Field

from amphion_svc.features.self_supervised import SelfSupervised, without_head


class WavLM(SelfSupervised):
    """(B, T) at 16 kHz -> (B, 768, N): layer 12 of WavLM base plus."""

    name = "wavlm"
    classes = ("WavLMConfig", "WavLMModel")

    class Config(SelfSupervised.Config):
        """WavLM base plus, the last layer."""

        model: str = Field(
            default="microsoft/wavlm-base-plus",
            description="folder of a WavLM model, its file of weights, or a hub name",
        )

    config: Config

    def keys_of(self, state: dict[str, Any]) -> dict[str, Any]:
        """Without the head of a model that classifies or transcribes."""
        return without_head(state, "wavlm.")
