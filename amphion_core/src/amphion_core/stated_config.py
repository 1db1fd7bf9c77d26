"""The configuration that a weights folder or a card states, as plain values; nothing here imports torch."""

from pathlib import Path
from typing import Any

from amphion_core import cards, yaml
from amphion_core.errors import WeightsError


def read_about(path: Path) -> tuple[str, dict[str, Any]]:
    """The ``config.yaml`` of a weights folder as (component name, config). Raises WeightsError, RecipeError."""
    about = yaml.read(path)
    if isinstance(about, dict) and isinstance(about.get("name"), str) and isinstance(about.get("config"), dict):
        return about["name"], about["config"]
    raise WeightsError(
        f"{path} does not state name and config",
        hint="this is not a weights folder; amphion convert and amphion train write weights folders",
    )


def card_fields(name: str) -> dict[str, Any]:
    """The fields of the model's ``Config`` that a card states, or the ``config.yaml`` beside its weights on this disk.

    Raises UnknownComponent for a card that does not exist, WeightsError and RecipeError for a file that is damaged.
    """
    card = cards.find(name)
    is_ours = card.layout is None and not card.config and "config" in card.sources
    path = cards.locate(card.sources["config"].source) if is_ours else None
    return read_about(path)[1] if path else card.config
