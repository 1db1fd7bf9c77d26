"""Networks of the package diffusers, which is imported where a network is built."""

from importlib import import_module
from typing import Any

from amphion_core.errors import MissingPackage


def diffusers_class(name: str) -> Any:
    """The class ``name`` of diffusers. Raises MissingPackage."""
    try:
        return getattr(import_module("diffusers"), name)
    except ImportError as error:
        raise MissingPackage(
            "the package diffusers has the networks of latent diffusion, and it is not installed",
            hint='pip install "amphion-tta[diffusion]"',
        ) from error
