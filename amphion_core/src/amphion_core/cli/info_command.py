"""Show one component, card or weights folder: what it is, its configuration, recipes and commands."""

import argparse
import inspect
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import cards, registry
from amphion_core.cli.completion import complete
from amphion_core.errors import RegistryError, UnknownComponent, shortened
from amphion_core.extras import pip_command
from amphion_core.files import is_file
from amphion_core.mel import MelConfig

if TYPE_CHECKING:
    from amphion_core.config import BaseConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion info``."""
    parser.add_argument("name", help="a component or card, such as vocoder/hifigan or mel, or a weights folder or run")
    complete(parser, name=("models", "cards", "features", "metrics", "datasets", "recognizers", "tasks", "paths"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print all that is known of the name. A kind before it, as in ``features:mel``, chooses between two kinds."""
    if Path(args.name).exists() and not any(args.name in registry.names(each) for each in registry.BASES):
        return _show_weights(args.name)
    kind, _, name = args.name.rpartition(":")
    bare, _, tag = name.partition("@")
    if tag:
        _show_card(cards.find(name))
        return 0
    kinds = [kind] if kind else [each for each in registry.BASES if bare in registry.names(each)]
    if not kinds and bare in _recipe_names():
        raise UnknownComponent(f"{bare} is a recipe, not a component", hint=f"amphion recipes {bare}")
    for ref in [registry.find(each, bare) for each in kinds or [_likely_kind(bare)]]:
        _show(ref)
    return 0


def _recipe_names() -> set[str]:
    from amphion_core.recipe import recipes

    return {path.stem for path, _, _ in recipes()}


def _likely_kind(name: str) -> str:
    if "/" in name:
        return "models"
    for kind in registry.BASES:
        try:
            registry.find(kind, name)
        except UnknownComponent:
            continue
        return kind  # an alias
    return "models"


def _show(ref: registry.ComponentRef) -> None:
    component = _show_head(ref)
    _show_fields("configuration", component.Config)
    _show_controls(component)
    if request := getattr(component, "Request", None):
        _show_fields("request", request)
    if layouts := getattr(component, "layouts", ()):
        print(f"\nreads the layouts: {', '.join(layouts)}")
    found = [*cards.cards(f"{ref.name}@")] if ref.kind == "models" else []
    if found:
        print("\ncards:")
    for card in found:
        print(f"  {card.name} ({card.status}): {card.title}")
    _show_use(ref)


def _show_head(ref: registry.ComponentRef) -> Any:
    print(f"{ref.name}  ({ref.kind[:-1]})\n{ref.summary}\nfrom {ref.dist} {ref.version}: {ref.target}; {ref.status}")
    if missing := ref.missing:
        print(f"to install what it needs: {pip_command(ref.dist, missing)}")
    component = ref.load()
    described = inspect.cleandoc(component.__doc__ or "").removeprefix(ref.summary).strip()
    if described:
        print(f"\n{described.replace('``', '')}")
    return component


def _show_card(card: cards.Card) -> None:
    ref = registry.find("models", card.name.partition("@")[0])
    print(f"{card.name}  (card)\n{card.title}\nstatus: {card.status}")
    files = ", ".join(file.source for key, file in card.sources.items() if key != "weights")
    described = {"source": card.source, "files": files, "vocoder": card.vocoder}
    described |= {"licence": card.licence, "data": card.data_licence}
    for label, value in described.items():
        if value:
            print(f"{label}: {value}")
    if card.config:
        _show_values(f"configuration, where it differs from that of {ref.name}", card.config)
    path = card.path()
    if path is not None:
        with suppress(RegistryError):  # "the model" below shows what is wrong with it
            _show_controls(ref.load())
        _show_description(path if path.is_dir() else path.parent)
    print(f"\nthe model: amphion info {ref.name}")
    _show_use(ref, card.name, loads=card.source is not None)


def _show_weights(place: str) -> int:
    from amphion_core.loading import open_weights
    from amphion_core.vocoding import own_vocoder

    found = open_weights(place)
    ref = registry.find("models", found.name)
    count = sum(tensor.numel() for tensor in found.state.values())
    print(f"{place}  (weights of {ref.name})\n{ref.summary}\n{count:,} numbers in {len(found.state)} tensors")
    if vocoder := own_vocoder(place):
        print(f"vocoder: {vocoder}")
    _show_values("configuration", found.config)
    _show_controls(ref.load())
    _show_description(Path(place) if Path(place).is_dir() else Path(place).parent)
    _show_use(ref, place, loads=True)
    return 0


def _show_controls(component: Any) -> None:
    if controls := getattr(component, "Controls", None):
        _show_fields("controls of a request, --control NAME=VALUE; None is the model's own value", controls)


def _show_description(folder: Path) -> None:
    """What the ``card.md`` of a weights folder says about training, scores and limits, without its title."""
    file = folder / "card.md"
    if not is_file(file) or not is_file(folder / "model.safetensors"):  # files of others may have the same name
        return
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    text = "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines).strip()
    if text:
        print(f"\nabout these weights, from {file}:\n{text.replace('**', '').replace('`', '')}")


def _show_use(ref: registry.ComponentRef, place: str = "", *, loads: bool = False) -> None:
    """The recipes that train a model, and how it is used from Python and from the command line."""
    if ref.kind != "models":
        return
    from amphion_core.recipe import recipes
    from amphion_core.yaml import read

    trains = []
    for path, _, _ in recipes():
        model = _model_of(read(path))
        if model == place if "@" in place else model.partition("@")[0] == ref.name:
            trains.append(path.stem)
    print(f"\nrecipes: {', '.join(trains) or 'none'}")
    if trains:
        print(f"to train: amphion train {trains[0]} data.root=FOLDER")
    print(f'in Python: amphion_core.{"load" if loads else "build"}("{place or ref.name}")')
    family = ref.name.partition("/")[0]
    for task in registry.refs("tasks"):
        if task.name == family:
            commands = [each.name for each in registry.refs("commands") if each.dist == task.dist]
            own = [name for name in commands if name.startswith(f"{family}/")]  # as codec/encode for the task codec
            own = own or [name for name in commands if "/" not in name]
            print(f"commands: {', '.join('amphion ' + name.replace('/', ' ') for name in own)}")


def _model_of(recipe: Any) -> str:
    """The model that a recipe names, with the tag of a card if the recipe states one."""
    model = recipe.get("model", "") if isinstance(recipe, Mapping) else ""
    return str(model.get("name", "") if isinstance(model, Mapping) else model)


def _show_fields(title: str, schema: "type[BaseConfig]") -> None:
    """Each field with its default, description and range; nothing for a schema without fields."""
    from amphion_core.config import limits

    if schema.model_fields:
        print(f"\n{title}:")
    for name, field in schema.model_fields.items():
        default = "required" if field.is_required() else f"= {_shown(field.get_default(call_default_factory=True))}"
        print(f"  {name} {default}\n      {'; '.join(filter(None, (field.description, limits(field))))}")


def _show_values(title: str, values: Mapping[str, Any]) -> None:
    print(f"\n{title}:")
    for name, value in values.items():
        print(f"  {name} = {_shown(value)}")


def _shown(value: object) -> str:
    """A value on one line; a mel convention as the name of its preset if it is one."""
    if preset := next((name for name, mel in MelConfig.presets().items() if value in (mel, mel.model_dump())), None):
        return preset
    return shortened(repr(value) if isinstance(value, str) else value, 90)
