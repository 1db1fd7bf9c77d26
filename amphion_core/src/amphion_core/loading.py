"""From a name to a working object: ``build``, ``load``, ``import_model``, ``task``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import cards, registry
from amphion_core.config import validate
from amphion_core.errors import UnknownComponent, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from amphion_core.families import ModelArchitecture, Precision


def build(name: str, **fields: Any) -> Any:
    """A new network with random weights: ``build("vocoder/hifigan@v2", mel="bigvgan_24k_100")``.

    A tag takes that card's configuration; ``fields`` change it. Raises RegistryError, or RecipeError that lists every
    problem with the nearest valid field.
    """
    bare, _, tag = name.partition("@")
    ref = registry.find("models", bare)
    architecture = ref.load()
    stored = cards.find(f"{ref.name}@{tag}").config if tag else {}
    return architecture(validate(architecture.Config, {**stored, **fields}, where=name))


def load(name: str | Path, *, precision: "Precision" = "float32", device: str = "cpu", download: bool = True) -> Any:
    """A network with its weights, ready to generate: ``load("tts/vits@piper-en-us-joe")``, or a weights folder.

    Without a tag, the card of that name marked ``default``. ``precision="bf16"`` computes in bfloat16 where the device
    gains from it. Raises RegistryError, WeightsError, DeviceError.
    """
    from amphion_core.devices import resolve_device

    target = resolve_device(device)
    folder = Path(name)
    if (folder / "config.yaml").is_file():
        from amphion_core import weights

        component, fields, state = weights.open_folder(folder)
        net = build(component, **fields)
        weights.load_state(net, state, what=component)
    else:
        net = _from_card(_card_with_weights(str(name)), download=download)
    net = net.to(target).for_inference(precision)
    from amphion_core.hooks import manager

    manager().hook.amphion_model_loaded(name=str(name), net=net)
    return net


def load_for_training(name: str) -> Any:
    """The network of a card, as saving and training want it: weight norms apart. Raises RegistryError, WeightsError."""
    return _from_card(_card_with_weights(name), download=True)


def import_model(
    name: str,
    checkpoint: "str | Path | Mapping[str, Tensor]",
    *,
    layout: str,
    config: Mapping[str, Any] | None = None,
    precision: "Precision" = "float32",
) -> Any:
    """A network from a published checkpoint: a path or a state dict in the publisher's ``layout``, in eval mode.

    ``config`` is the publisher's own; when None and ``checkpoint`` is a path, the JSON file beside it is read.
    Raises RegistryError, WeightsError (missing, damaged or foreign checkpoint, with the key's name).
    """
    net: ModelArchitecture = convert(name, checkpoint, layout=layout, config=config)
    return net.for_inference(precision)


def task(name: str, *, precision: "Precision" = "float32", device: str = "cpu", **fields: Any) -> Any:
    """A TaskFramework ready to generate: ``task("tts")``, ``task("tts", model="tts/vits@...", vocoder=...)``.

    Without a model it takes the family's first default card whose weights are on this disk, and no network.
    Raises RegistryError, RecipeError, WeightsError, DeviceError.
    """
    from amphion_core.devices import resolve_device

    target = str(resolve_device(device))
    framework = registry.get("tasks", name)
    return framework(validate(framework.Config, fields, where=f"task {name}"), precision=precision, device=target)


def convert(
    name: str, checkpoint: "str | Path | Mapping[str, Tensor]", *, layout: str, config: Mapping[str, Any] | None = None
) -> Any:
    """``import_model`` without preparing for inference: weight norms stay apart, as saving and training want."""
    from amphion_core import weights

    architecture = registry.get("models", name)
    if isinstance(checkpoint, str | Path):
        path = Path(checkpoint)
        state: Mapping[str, Any] = weights.read_checkpoint(path)
        config = weights.publisher_config(path) if config is None else config
    else:
        state = checkpoint
    if layout not in architecture.layouts:
        known = ", ".join(architecture.layouts)
        raise WeightsError(f"{name} does not read the layout {layout!r}", hint=f"it reads: {known}" if known else None)
    ours, tensors = architecture.import_state_dict(state, layout=layout, config=config)
    net = architecture(ours)
    weights.load_state(net, tensors, what=name)
    return net


def _from_card(card: cards.Card, *, download: bool) -> Any:
    from amphion_core import weights

    path = weights.fetch(card, download=download)
    bare = card.name.partition("@")[0]
    if card.layout:
        return convert(bare, path, layout=card.layout, config=card.config or None)
    component, fields, state = weights.open_folder(path if path.is_dir() else path.parent)
    net = build(component, **fields)
    weights.load_state(net, state, what=card.name)
    return net


def _card_with_weights(name: str) -> cards.Card:
    bare, _, tag = name.partition("@")
    if not tag and Path(name).exists():
        raise WeightsError(f"{name} is not a weights folder: it has no config.yaml", hint="amphion convert makes one")
    base = registry.find("models", bare).name
    if tag:
        card = cards.find(f"{base}@{tag}")
        if card.source is not None:
            return card
    loadable = [card for card in cards.cards(f"{base}@") if card.source is not None]
    chosen = [card for card in loadable if card.default]
    if not tag and chosen:
        return chosen[0]
    message = f"{name} is a configuration without weights" if tag else f"{name} names no weights"
    known = ", ".join(card.name for card in loadable)
    hint = (
        f"with weights: {known}"
        if known
        else f"no card of {base} has weights; load a folder, or amphion convert {base} ..."
    )
    raise UnknownComponent(message, hint=hint)
