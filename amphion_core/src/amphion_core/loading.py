"""From a name to a working object: ``build``, ``load``, ``open_weights``, ``import_model``, ``task``."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from amphion_core import cards, registry, yaml
from amphion_core.config import validate
from amphion_core.errors import InvalidComponent, RecipeError, UnknownComponent, WeightsError, shortened, shown
from amphion_core.files import path_hint
from amphion_core.stated_config import card_fields
from amphion_core.stored_weights import Weights, from_files, from_folder
from amphion_core.system_errors import clear_errors

if TYPE_CHECKING:
    from torch import Tensor

    from amphion_core.families import ModelArchitecture
    from amphion_core.parts import ModelPart
    from amphion_core.precision import Precision

Network = TypeVar("Network", bound="ModelArchitecture")


@clear_errors
def build(name: str, **fields: Any) -> Any:
    """A new network with random weights: ``build("vocoder/hifigan@v2", mel="bigvgan_24k_100")``.

    With a tag, the card's configuration is used; ``fields`` change it. Raises RegistryError, or RecipeError that lists
    every problem with the nearest valid field.
    """
    from amphion_core.checkpoints.network_size import bounded

    ref = registry.find("models", name)
    architecture = ref.load()
    tag = name.partition("@")[2]
    stored = card_fields(f"{ref.name}@{tag}") if tag else {}
    config = validate(architecture.Config, {**stored, **fields}, where=name)
    with bounded(name):
        return architecture(config)


@clear_errors
def load(place: str | Path, *, precision: "Precision" = "float32", device: str = "cpu", download: bool = True) -> Any:
    """A network with its weights, ready to generate: ``load("tts/vits@piper-en-us-joe")``.

    ``place`` is a card or a folder, see ``open_weights``. ``precision="bf16"`` computes in bfloat16 where the device
    gains from it. Raises RegistryError, RecipeError, WeightsError, DeviceError.
    """
    from amphion_core.devices import resolve_device
    from amphion_core.hooks import manager
    from amphion_core.modules.workers import run_on_one_thread
    from amphion_core.precision import check_precision

    check_precision(precision)
    target = resolve_device(device)
    # One thread: each of these many small operations would wait for a second one, long where its core is busy.
    net = run_on_one_thread(
        lambda: open_weights(place, download=download).network().to(target).for_inference(precision)
    )

    manager().hook.amphion_model_loaded(name=str(place), net=net)
    return net


def open_source(source: "str | ModelPart", family: "type[Network]", what: str, hint: str, device: str) -> "Network":
    """A network that a config names: that of a place, or a Part's, whose random weights are always the same.

    ``what`` names the ``family`` in errors, whose hint is ``hint``. Raises WeightsError: the place has no weights, or
    those of another family.
    """
    import torch

    if not isinstance(source, str):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            built: Network = source.build()
        return built.to(device).for_inference()
    try:
        net = load(source, device=device)
    except (UnknownComponent, InvalidComponent, WeightsError) as error:
        if _is_lost_folder(source):
            raise WeightsError(
                f"the {what} is missing: there is no folder {Path(source).expanduser().absolute()}",
                hint=f"cd to the folder that has {source}, or: ln -s PLACE {source}; or {hint}",
            ) from error
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"the {what} {source!r} cannot be opened: {error.message}", hint=hint) from error
    if not isinstance(net, family):
        raise WeightsError(f"{source} has no {what}", hint=hint)
    return net


def _is_lost_folder(source: str) -> bool:
    """Whether ``source`` is the name of a folder that is not there, and not that of a card or a model."""
    family, slash, _ = source.partition("/")
    is_name = (slash and family in registry.FAMILIES) or source.partition("@")[0] in registry.names("models")
    return bool(source) and not is_name and not Path(source).expanduser().exists()


@clear_errors
def open_weights(place: str | Path, *, download: bool = True) -> Weights:
    """The stored network at ``place``, which may be any kind of place that weights come from.

    ==================== =========================================================================
    a card's name        its file, verified; a publisher's layout is converted. Without a tag: the
                         card of that model marked ``default``
    a weights folder     as ``weights.save`` and ``amphion convert`` write it
    a run folder         its ``weights`` folder; before the run has ended, its best checkpoint, or the
                         newest undamaged one if no score is monitored
    a checkpoint         ``RUN/checkpoints/step-N``, verified; the averages where the run keeps them
    ==================== =========================================================================

    ``download=False`` forbids the network. Raises RegistryError, RecipeError, and WeightsError: nothing of these is at
    ``place``, or it is damaged.
    """
    if not isinstance(place, str | Path):
        raise InvalidComponent(
            f"weights are named by text or a path, got {shown(place)}",
            hint='load("tts/vits@piper-en-us-joe"), or load(Path("my_weights"))',
        )
    if not str(place):
        raise WeightsError("the name of the weights is empty", hint="amphion list --pretrained shows cards")
    folder = Path(place).expanduser()
    if (folder / "SHA256SUMS").is_file() or (folder / "state.json").is_file():
        from amphion_core.training.run_weights import from_checkpoint

        return from_checkpoint(folder)
    if (folder / "config.yaml").is_file():
        about = yaml.read(folder / "config.yaml")
        if isinstance(about, dict) and "model" in about:
            from amphion_core.training.run_weights import from_run

            return from_run(folder)
        return from_folder(folder)
    name = str(place)
    if folder.exists() and name not in {card.name for card in cards.cards()}:
        raise WeightsError(
            f"{place} is neither a weights folder nor a run or a checkpoint of one",
            hint=f"a published checkpoint is first converted: amphion convert MODEL {place} -o FOLDER; "
            "of a run, name its folder or checkpoints/step-N",
        )
    if isinstance(place, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        hint = path_hint(folder, "check the path; amphion list --pretrained shows cards")
        raise WeightsError(f"there is no folder {place}", hint=hint)
    return _from_card(card_with_weights(name), download=download)


@clear_errors
def import_model(
    name: str,
    checkpoint: "str | Path | Mapping[str, Tensor]",
    *,
    layout: str,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, str | Path] | None = None,
    precision: "Precision" = "float32",
) -> Any:
    """A network from a published checkpoint, ready to generate: ``read_published``, built and in eval mode.

    Raises RegistryError, RecipeError, WeightsError.
    """
    net: ModelArchitecture = convert(name, checkpoint, layout=layout, config=config, files=files)
    return net.for_inference(precision)


@clear_errors
def task(name: str, *, precision: "Precision" = "float32", device: str = "cpu", **fields: Any) -> Any:
    """A TaskFramework ready to generate: ``task("tts")``, ``task("tts", model="tts/vits@...", vocoder=...)``.

    Without a model, the family's first default card is taken whose files are on this disk; no network is used.
    Raises RegistryError, RecipeError, WeightsError, DeviceError.
    """
    from amphion_core.devices import resolve_device
    from amphion_core.precision import check_precision

    check_precision(precision)
    target = str(resolve_device(device))
    framework = registry.get("tasks", name)
    fields = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in fields.items()}
    return framework(validate(framework.Config, fields, where=f"task {name}"), precision=precision, device=target)


@clear_errors
def convert(
    name: str,
    checkpoint: "str | Path | Mapping[str, Tensor]",
    *,
    layout: str,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, str | Path] | None = None,
) -> Any:
    """The network of ``read_published``, in training mode with its weight norms apart, as ``weights.save`` wants it.

    An error has a hint at the layouts that fit, if any does.
    """
    from amphion_core.checkpoints.published import open_published

    found = open_published(name, checkpoint, config=config, files=files)
    try:
        return found.weights(layout).network()
    except (RecipeError, WeightsError) as error:
        raise found.explained(error, layout) from error


@clear_errors
def find_layout(
    name: str,
    checkpoint: "str | Path | Mapping[str, Tensor]",
    *,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, str | Path] | None = None,
) -> str:
    """The layout of the architecture ``name`` in which the checkpoint fits its network exactly.

    Raises RegistryError, and WeightsError when none fits, or several that give different networks.
    """
    from amphion_core.checkpoints.published import open_published

    return open_published(name, checkpoint, config=config, files=files).layout()


def read_published(
    name: str,
    checkpoint: "str | Path | Mapping[str, Tensor]",
    *,
    layout: str,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, str | Path] | None = None,
) -> Weights:
    """A published checkpoint in our format: a file, a folder or a state dict in the publisher's ``layout``.

    ``config`` is the publisher's own; when None and ``checkpoint`` is a path, the JSON or YAML file beside it is read.
    ``files`` are further files by the keys that the layout reads, such as ``vocab``; ``publisher_files.read_file``
    reads them. Layout and config are checked here, before the model's ``import_state_dict`` is called.
    Raises RegistryError, RecipeError, and WeightsError: a missing, damaged or foreign checkpoint, with the key's name.
    """
    from amphion_core.checkpoints.published import open_published

    return open_published(name, checkpoint, config=config, files=files).weights(layout)


def _from_card(card: cards.Card, *, download: bool) -> Weights:
    """The card's files, verified; converted where the card states a publisher's layout."""
    from amphion_core import fetching, weights_cache
    from amphion_core.checkpoints import publisher_files

    files = fetching.fetch(card, download=download)
    path, config = files.pop("weights"), files.pop("config", None)
    base = card.name.partition("@")[0]
    if card.layout:
        stated = {**(publisher_files.read_config(config) if config else {}), **card.config}
        given = stated or publisher_files.find_config(path)
        convert = partial(read_published, base, path, layout=card.layout, config=given, files=files)
        made_from = {"model": base, "layout": card.layout, "config": given}
        found = weights_cache.converted(made_from, {"": path, **files}, registry.get("models", base), convert)
        return replace(found, origin=card.name)
    found = from_folder(path) if path.is_dir() else from_files(config or path.with_name("config.yaml"), path, card.name)
    if found.name != registry.find("models", base).name:
        raise WeightsError(f"{card.name} holds weights of {found.name}", hint="report it to the card's author")
    return replace(found, origin=card.name)


def card_with_weights(name: str) -> cards.Card:
    """The card called ``name``, or the default card of a model. Raises UnknownComponent unless it has weights."""
    tag = name.partition("@")[2]
    try:
        base = registry.find("models", name).name  # the whole name, so that an empty tag is an error
    except UnknownComponent as error:
        hint = path_hint(name, error.hint or "amphion list models")
        raise UnknownComponent(f"{error.message}, and there is no folder {shortened(name)}", hint=hint) from error
    if tag:
        card = cards.find(f"{base}@{tag}")
        if card.source is not None:
            return card
    loadable = [card for card in cards.cards(f"{base}@") if card.source is not None]
    chosen = [card for card in loadable if card.default]
    if not tag and chosen:
        return chosen[0]
    message = f"{name} is a configuration without weights" if tag else f"{name} has no default card with weights"
    known = ", ".join(card.name for card in loadable)
    hint = (
        f"with weights: {known}"
        if known
        else f"no card of {base} has weights; load a weights folder, or make one: amphion convert {base} ..."
    )
    raise UnknownComponent(message, hint=hint)
