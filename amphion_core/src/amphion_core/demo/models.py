"""Which models a tab offers, and what can be controlled in a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core import cards, registry, yaml
from amphion_core.errors import AmphionError, RegistryError

RUNS = Path("runs")  # where `amphion train` puts its runs, below the current folder


def choices(family: str) -> list[str]:
    """What can be loaded as a model of ``family`` at once: cards on this disk, models without weights, and runs."""
    ready = [card.name for card in cards.cards(f"{family}/") if card.status == "ready"]
    return [*ready, *_without_weights(family), *_runs(family)]


def _without_weights(family: str) -> Iterator[str]:
    for ref in registry.refs("models"):
        if ref.name.startswith(f"{family}/"):
            try:
                if getattr(ref.load(), "needs_weights", True) is False:
                    yield ref.name
            except RegistryError:  # a broken plugin must not hide the models of others
                continue


def _runs(family: str) -> Iterator[str]:
    for folder in sorted(RUNS.glob("*")):
        if (folder / "checkpoints").is_dir() and architecture(str(folder)).startswith(f"{family}/"):
            yield str(folder)


def architecture(place: str) -> str:
    """The registry name of the model at ``place``: a card, a model, a run or a weights folder. "" if unknown."""
    about = Path(place).expanduser() / "config.yaml"
    try:
        if not about.is_file():
            return registry.find("models", place.partition("@")[0]).name
        stated = yaml.read(about)
    except AmphionError:
        return ""
    found = stated.get("model", stated) if isinstance(stated, dict) else ""
    found = found.get("name", "") if isinstance(found, dict) else found
    return str(found).partition("@")[0]


def default(family: str) -> str:
    """The model that is chosen at first: the default card, else a model without weights; "" if there is neither."""
    try:
        return cards.default(family).name
    except AmphionError:
        return next(_without_weights(family), "")


def controls(family: str, place: str) -> dict[str, Any]:
    """The fields of the controls of a model; ``place`` is "" for the default one. Empty where it is not known."""
    name = architecture(place or default(family))
    try:
        return dict(registry.get("models", name).Controls.model_fields) if name else {}
    except (AmphionError, AttributeError):
        return {}
