"""Show one component: what it is, where it comes from, its configuration, controls or request, and its cards."""

import argparse
from typing import TYPE_CHECKING

from amphion_core import cards, registry
from amphion_core.errors import UnknownComponent

if TYPE_CHECKING:
    from amphion_core.config import BaseConfig


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``amphion info``."""
    parser.add_argument("name", help="a component or card, such as vocoder/hifigan or mel")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print all that is known of the name. A kind before it, as in ``features:mel``, chooses between two kinds."""
    kind, _, name = args.name.rpartition(":")
    bare, _, tag = name.partition("@")
    kinds = [kind] if kind else [each for each in registry.BASES if bare in registry.names(each)]
    found = [registry.find(each, bare) for each in kinds or [_likely_kind(bare)]]
    if tag:
        cards.find(f"{found[0].name}@{tag}")  # an error that lists the tags, before anything is printed
    for ref in found:
        _show(ref)
    for card in cards.cards(name if "@" in name else f"{bare}@"):
        print(f"\ncard {card.name}: {card.title}\n  status: {card.status}")
        files = ", ".join(file.source for key, file in card.sources.items() if key != "weights")
        for label, value in (
            ("source", card.source),
            ("files", files),
            ("licence", card.licence),
            ("data", card.data_licence),
        ):
            if value:
                print(f"  {label}: {value}")
    return 0


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
    print(f"{ref.name}  ({ref.kind[:-1]})\n{ref.summary}\nfrom {ref.dist} {ref.version}: {ref.target}; {ref.status}")
    component = ref.load()
    if component.__doc__:
        print("\n" + component.__doc__.strip())
    _show_fields("configuration", component.Config)
    if controls := getattr(component, "Controls", None):
        _show_fields("controls of a request, --control NAME=VALUE", controls)
    if request := getattr(component, "Request", None):
        _show_fields("request", request)
    if layouts := getattr(component, "layouts", ()):
        print(f"\nreads the layouts: {', '.join(layouts)}")


def _show_fields(title: str, schema: "type[BaseConfig]") -> None:
    """Each field with its default, description and range; nothing for a schema without fields."""
    from amphion_core.config import limits

    if schema.model_fields:
        print(f"\n{title}:")
    for name, field in schema.model_fields.items():
        default = "required" if field.is_required() else f"= {_short(field.get_default(call_default_factory=True))}"
        print(f"  {name} {default}\n      {'; '.join(filter(None, (field.description, limits(field))))}")


def _short(value: object) -> str:
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 90 else text[:87] + "..."
