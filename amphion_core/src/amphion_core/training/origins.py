"""Where a trained model comes from, for its card: its data and the weights that it began with, and their licences."""

from collections.abc import Iterator
from pathlib import Path

from amphion_core import cards, yaml
from amphion_core.data.manifest import ABOUT
from amphion_core.errors import AmphionError
from amphion_core.recipe import Recipe

UNKNOWN = "licence not stated"
CARD = "card.md"


def origins(recipe: Recipe) -> str:
    """The part of ``card.md`` that says what a recipe trains on and starts from; it names no path of this computer.

    The licence of data is what ``amphion prepare ... licence=TEXT`` was given. Of a card its licences are copied, of a
    weights folder or a run the text of its ``card.md``.
    """
    data = [f"* {_of_data(source.root)}" for source in recipe.data.root]
    given = recipe.engine.init_from
    places = [given] if isinstance(given, str) else [source.source for source in (given or {}).values()]
    start = [line for place in dict.fromkeys(places) for line in _of_weights(place)]
    parts = (("Trained on", data), ("Started from", start))
    return "".join(f"\n## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts if lines)


def _of_data(root: str) -> str:
    """The name of a prepared folder, its reader, and its licence."""
    folder = Path(root).expanduser()
    try:
        about = yaml.parse((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, AmphionError):
        about = {}
    about = about if isinstance(about, dict) else {}
    reader, options = about.get("reader") or {}, about.get("options") or {}
    named = f"{folder.name} ({reader['name']})" if reader.get("name") else folder.name
    return f"{named}: {options.get('licence') or UNKNOWN}"


def _of_weights(place: str) -> Iterator[str]:
    """What a card, or the ``card.md`` of a folder, says of itself."""
    folder = Path(place).expanduser()
    if not folder.exists():
        try:
            card = cards.find(place)
        except AmphionError:
            yield f"* {place}: {UNKNOWN}"
            return
        yield f"* {card.name}, {card.title}: {card.licence or UNKNOWN}; its data: {card.data_licence or UNKNOWN}"
        return
    run = folder.parent.parent if folder.parent.name == "checkpoints" else folder
    found = next((path for path in (folder / CARD, run / "weights" / CARD) if path.is_file()), None)
    yield f"* {folder.name}: " + ("its card says" if found else UNKNOWN)
    if found:
        lines = found.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        yield from ("", *(f"> {line}".rstrip() for line in lines))
