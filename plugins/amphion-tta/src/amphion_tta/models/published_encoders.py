"""What the text encoders share when they read models that transformers has saved."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from amphion_core.errors import MissingPackage, WeightsError


def require_transformers(component: str) -> Any:
    """The package transformers. Raises MissingPackage with the command that installs it."""
    try:
        return import_module("transformers")
    except ImportError as error:
        raise MissingPackage(
            f"{component} needs transformers: {error}", hint='pip install "amphion-tta[transformers]"'
        ) from error


def stated(config: Mapping[str, Any] | None, kind: str, component: str) -> dict[str, Any]:
    """The publisher's config. Raises WeightsError if it states another ``model_type`` than ``kind``."""
    found = dict(config or {})
    if (given := found.get("model_type", kind)) != kind:
        raise WeightsError(
            f"{component} reads models of the type {kind!r}, and this one is {given!r}",
            hint="amphion list models 'text_encoder/*' shows the others",
        )
    return found


def without_prefix(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors of a network that is stored inside a model with a head, under its own names."""
    inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return inside or dict(state)
