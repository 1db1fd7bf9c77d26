"""The tracker that gives F0 to vocoders that need it, in training and in copy synthesis."""

from amphion_core import registry
from amphion_core.api import FeaturePart, MelConfig
from amphion_core.errors import RecipeError
from amphion_core.features.f0 import F0Extractor

DEFAULT = "f0_harvest"  # it misses few voiced frames, also of singing


def tracker_for(mel: MelConfig, chosen: FeaturePart | None = None) -> FeaturePart:
    """``chosen``, or the default tracker, in the frames of ``mel``. Raises RecipeError for a feature that is none."""
    chosen = chosen or FeaturePart.named(DEFAULT, mel=mel)
    if not issubclass(registry.get("features", chosen.name), F0Extractor):
        raise RecipeError(f"f0: the feature {chosen.name} does not track F0", hint="amphion list features 'f0_*'")
    return FeaturePart.named(chosen.name, **chosen.config.model_dump() | {"mel": mel})
