"""From a name to a working object: ``build``, ``load``, ``open_weights``, ``import_model``, ``task``."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import cards, registry, yaml
from amphion_core.config import BaseConfig, validate
from amphion_core.errors import InvalidComponent, RecipeError, UnknownComponent, WeightsError, shown
from amphion_core.system_errors import clear_errors

if TYPE_CHECKING:
    from torch import Tensor

    from amphion_core.families import ModelArchitecture
    from amphion_core.parts import ModelPart
    from amphion_core.precision import Precision

SPARE = 1 << 30  # bytes that a network may have beside its stored weights, such as windows and filters


@dataclass(frozen=True, slots=True)
class Weights:
    """A network as it is stored: which component, its configuration and its tensors.

    ``name`` is the registry name, ``config`` are the fields of its ``Config``, ``origin`` says where it comes from.
    ``state`` has our tensor names, before any preparation for inference. Weight norms may be apart or folded;
    ``weights.load_state`` reads both. A checkpoint stores what its run trains. Where that is only a part of the model,
    ``frozen`` holds the digests of the other parts, by their paths in the model.
    """

    name: str
    config: dict[str, Any]
    state: "dict[str, Tensor]"
    origin: str = ""
    frozen: dict[str, str] = field(default_factory=dict)

    def network(self) -> Any:
        """The network with these weights, in training mode.

        Parts that a checkpoint does not store are those that the configuration gives, if their digests agree.
        Raises WeightsError that names the keys or the part that do not fit.
        """
        from amphion_core import weights

        net = self._empty()
        state = self.state | self._frozen_tensors(net) if self.frozen else self.state
        try:
            weights.load_state(net, state, what=self.name)
        except WeightsError as error:
            if not self.origin:
                raise
            raise WeightsError(f"{self.origin}: {error.message}", hint=error.hint) from error
        return net

    def _frozen_tensors(self, net: Any) -> "dict[str, Tensor]":
        """The tensors of ``net`` in its frozen parts, each part verified by its digest."""
        from amphion_core.weights import state_digest

        stored: dict[str, Tensor] = net.state_dict()
        found: dict[str, Tensor] = {}
        for path, digest in self.frozen.items():
            module, inside = net.get_submodule(path), f"{path}." if path else ""
            around = any(name.startswith(inside) for name in self.state)  # a module around trained ones: its buffers
            tensors = dict(module.named_buffers(recurse=False)) if around else module.state_dict()
            if state_digest(tensors) != digest:
                raise WeightsError(
                    f"{self.origin} does not store {path or 'the buffers of the model'}, which its run kept frozen, and"
                    " the configuration alone does not give the same weights",
                    hint="load the run's weights folder, which is written when the run ends, or engine.init_from",
                )
            found |= {f"{inside}{name}": tensor for name, tensor in tensors.items() if f"{inside}{name}" in stored}
        return found

    def _empty(self) -> Any:
        """The network without these weights. Its size is limited by theirs, unless frozen parts come from elsewhere."""
        from amphion_core.checkpoints.network_size import bounded

        architecture = registry.get("models", self.name)
        where = self.origin or self.name
        config = validate(architecture.Config, self.config, where=where)
        most = None if self.frozen else SPARE + 8 * sum(getattr(tensor, "nbytes", 0) for tensor in self.state.values())
        with bounded(where, most):
            return architecture(config)


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
    stored = cards.find(f"{ref.name}@{tag}").config if tag else {}
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
    from amphion_core.precision import check_precision

    check_precision(precision)
    target = resolve_device(device)
    net = open_weights(place, download=download).network().to(target).for_inference(precision)
    from amphion_core.hooks import manager

    manager().hook.amphion_model_loaded(name=str(place), net=net)
    return net


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
        return _from_checkpoint(folder)
    if (folder / "config.yaml").is_file():
        about = yaml.read(folder / "config.yaml")
        if isinstance(about, dict) and "model" in about:
            return _from_run(folder)
        return _from_folder(folder)
    name = str(place)
    if folder.exists() and name not in {card.name for card in cards.cards()}:
        raise WeightsError(
            f"{place} is neither a weights folder nor a run or a checkpoint of one",
            hint="convert a published checkpoint first: amphion convert; for a run, its folder or checkpoints/step-N",
        )
    if isinstance(place, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(f"there is no folder {place}", hint="check the path; amphion list --pretrained shows cards")
    return _from_card(_card_with_weights(name), download=download)


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
        ours, tensors = found.read(layout)
        return Weights(found.name, ours.model_dump(mode="json"), tensors, found.origin).network()
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

    found = open_published(name, checkpoint, config=config, files=files)
    ours, tensors = found.read(layout)
    return Weights(found.name, ours.model_dump(mode="json"), tensors, found.origin)


def _from_card(card: cards.Card, *, download: bool) -> Weights:
    """The card's files, verified; converted where the card states a publisher's layout."""
    from amphion_core import fetching
    from amphion_core.checkpoints import publisher_files

    files = fetching.fetch(card, download=download)
    path, config = files.pop("weights"), files.pop("config", None)
    base = card.name.partition("@")[0]
    if card.layout:
        given = {**(publisher_files.read_config(config) if config else {}), **card.config} or None
        return replace(read_published(base, path, layout=card.layout, config=given, files=files), origin=card.name)
    found = _from_folder(path) if path.is_dir() else _from_files(config or path.with_name("config.yaml"), path)
    if found.name != registry.find("models", base).name:
        raise WeightsError(f"{card.name} holds weights of {found.name}", hint="report it to the card's author")
    return replace(found, origin=card.name)


def _from_folder(folder: Path) -> Weights:
    from amphion_core import weights

    name, fields, state = weights.open_folder(folder)
    return Weights(registry.find("models", name).name, fields, state, str(folder))


def _from_files(config: Path, tensors: Path) -> Weights:
    from amphion_core import weights

    name, fields = weights.read_about(config)
    return Weights(registry.find("models", name).name, fields, weights.read_checkpoint(tensors), str(tensors))


def _from_run(folder: Path) -> Weights:
    """The result of a run, or its best checkpoint so far. Raises WeightsError before the first checkpoint."""
    if (folder / "weights" / "config.yaml").is_file():
        return _from_folder(folder / "weights")
    from amphion_core.training import checkpoint

    newest = checkpoint.newest(folder / "checkpoints", lambda text: warnings.warn(text, stacklevel=4))
    if newest is None:
        raise WeightsError(
            f"the run {folder} has no checkpoint yet", hint=f"train it further: amphion train {folder} --resume"
        )
    best = checkpoint.best_step(newest)
    if best is not None and (chosen := newest.with_name(f"step-{best}")).is_dir():
        try:
            return _from_checkpoint(chosen)
        except WeightsError as error:
            warnings.warn(f"{error.message}: the newest checkpoint is used, not the best", stacklevel=4)
    return _from_checkpoint(newest)


def _from_checkpoint(folder: Path) -> Weights:
    """The model's tensors in a checkpoint. ``state.json`` states where in the model each network belongs."""
    from amphion_core.training import checkpoint

    config = folder.absolute().parent.parent / "config.yaml"
    if not config.is_file():
        raise WeightsError(
            f"{folder} is not inside a run: there is no {config}",
            hint="keep the run's config.yaml two folders above its checkpoints; it names the model",
        )
    part = _model_of_run(config)
    tensors, state = checkpoint.read(folder)
    empty = Weights(part.name, part.config.model_dump(mode="json"), {}, str(folder))
    paths = state.get("networks") or _only_network(tensors["networks"], empty)
    found: dict[str, Tensor] = {}
    for network, path in paths.items():
        if path is None:  # it is not in the model: a discriminator, for instance
            continue
        inside = f"{path}." if path else ""
        averaged = {name: value for name, value in tensors.get("ema", {}).items() if name.startswith(f"{network}.")}
        for name, value in (averaged or tensors["networks"]).items():
            if name.startswith(f"{network}."):
                found[inside + name.removeprefix(f"{network}.")] = value
    frozen = {
        path.removeprefix("model").removeprefix("."): digest
        for path, digest in state.get("identity", {}).get("frozen", {}).items()
        if path == "model" or path.startswith("model.")
    }
    return replace(empty, state=found, frozen=frozen)


def _model_of_run(path: Path) -> "ModelPart":
    """The model that a run's ``config.yaml`` states. The recipe's other parts need not be installed."""
    from amphion_core.mel import Mel
    from amphion_core.parts import ModelPart

    class Audio(BaseConfig):
        audio: Mel | None = None

    class Model(BaseConfig):
        model: ModelPart

    about = yaml.read(path)
    if not isinstance(about, dict) or "model" not in about:
        raise WeightsError(f"{path} does not state a model", hint="name a weights folder, or a run's folder")
    audio = validate(Audio, {"audio": about.get("audio")}, where=str(path)).audio
    context = {"audio": audio} if audio else None
    return validate(Model, {"model": about["model"]}, where=str(path), context=context).model


def _only_network(tensors: "Mapping[str, Tensor]", model: Weights) -> dict[str, str]:
    """The stored network that is the model itself, for checkpoints that do not say where their networks belong."""
    from amphion_core.checkpoints.weight_names import expected_shapes

    names = set(expected_shapes(model._empty))
    for network in dict.fromkeys(name.partition(".")[0] for name in tensors):
        if {name.removeprefix(f"{network}.") for name in tensors if name.startswith(f"{network}.")} == names:
            return {network: ""}
    raise WeightsError(
        f"{model.origin} holds no network that is a whole {model.name}",
        hint="use the run's weights folder, which is written when the run ends",
    )


def _card_with_weights(name: str) -> cards.Card:
    tag = name.partition("@")[2]
    base = registry.find("models", name).name  # the whole name, so that an empty tag is an error
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
