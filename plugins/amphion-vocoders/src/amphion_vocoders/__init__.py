"""Vocoders for Amphion, and the task ``vocoder``. Public names load when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "Discriminators": "amphion_vocoders.trainers.adversarial",
    "GriffinLim": "amphion_vocoders.models.griffin_lim",
    "HiFiGAN": "amphion_vocoders.models.hifigan",
    "HiFiGANGenerator": "amphion_vocoders.models.hifigan",
    "VocoderRequest": "amphion_vocoders.request",
    "VocoderTask": "amphion_vocoders.task",
    "without_gradients_of": "amphion_vocoders.trainers.adversarial",
}
__all__ = [
    "Discriminators", "GriffinLim", "HiFiGAN", "HiFiGANGenerator", "VocoderRequest", "VocoderTask",
    "without_gradients_of",
]  # fmt: skip

if TYPE_CHECKING:
    from amphion_vocoders.models.griffin_lim import GriffinLim as GriffinLim
    from amphion_vocoders.models.hifigan import HiFiGAN as HiFiGAN, HiFiGANGenerator as HiFiGANGenerator
    from amphion_vocoders.request import VocoderRequest as VocoderRequest
    from amphion_vocoders.task import VocoderTask as VocoderTask
    from amphion_vocoders.trainers.adversarial import (
        Discriminators as Discriminators,
        without_gradients_of as without_gradients_of,
    )
else:

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
