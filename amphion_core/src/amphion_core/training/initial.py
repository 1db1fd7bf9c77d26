"""Networks as flat tensors, and the weights that a run begins with (``engine.init_from``)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from amphion_core import registry, weights
from amphion_core.checkpoints.weight_names import to_parametrized
from amphion_core.config import validate
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.loading import open_weights
from amphion_core.mel import MelConfig
from amphion_core.stored_weights import Weights
from amphion_core.training import checkpoint
from amphion_core.training.config import InitialWeights


def flat(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Every tensor of every network's state dict as ``network.name``."""
    return {f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}


def load_flat(networks: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Load tensors named as by ``flat`` into the networks. Raises WeightsError that names the keys that do not fit."""
    for name, network in networks.items():
        mine = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        weights.load_state(network, mine, what=name)


def load(
    model: nn.Module, networks: Mapping[str, nn.Module], given: str | Mapping[str, InitialWeights] | None
) -> list[str]:
    """Load the weights of the recipe's ``engine.init_from``. Returns what the user should know, line by line.

    A string is a place, see ``loading.open_weights``. A checkpoint of a trainer with the same networks gives all of
    them; every other place gives the model. A mapping names networks, paths inside them such as ``discriminator.mpd``,
    or paths inside the model, where ``model`` is the whole model.
    Raises RecipeError for a name that is none of these, WeightsError for weights that do not fit or were trained on
    another mel convention.
    """
    if given is None:
        return []
    if isinstance(given, str):
        folder = Path(given).expanduser().absolute()
        if (folder / checkpoint.SUMS).is_file():
            stored = checkpoint.read(folder)[0]["networks"]
            if {name.partition(".")[0] for name in stored} == {*networks}:
                if (folder.parent.parent / "config.yaml").is_file():  # else nothing states the mel convention
                    found = open_weights(given)
                    _require_same_mel(model, found, given)
                    _require_same_codec(model, found, given)
                load_flat(networks, stored)
                return []
        return _load_one("model", model, model, InitialWeights(source=given))
    notes: list[str] = []
    for name, source in given.items():
        notes += _load_one(name, _target(model, networks, name), model, source)
    return notes


def _load_one(name: str, target: nn.Module, model: nn.Module, given: InitialWeights) -> list[str]:
    """Load one source into one module; the notes about parameters that keep their initial values."""
    found = open_weights(given.source)
    if any(module is target for module in model.modules()):
        if given.mel == "same":
            _require_same_mel(model, found, given.source)
        _require_same_codec(model, found, given.source)
    state: dict[str, Any] = found.state
    what = f"the recipe's {name}, read from {given.source}"
    if given.part:
        what = f"{what}, part {given.part}"
        inside = f"{given.part}."
        state = {key.removeprefix(inside): value for key, value in state.items() if key.startswith(inside)}
        if not state:
            parts = dict.fromkeys(key.partition(".")[0] for key in found.state)
            raise WeightsError(
                f"{given.source} has no part {given.part!r}", hint=f"its parts are {', '.join(parts)}, or below these"
            )
    current = target.state_dict()
    try:
        weights.load_state(target, state, what=what, missing=given.missing)
    except WeightsError as error:
        if given.missing == "error" and (absent := _only_absent(state, current)):
            new = f"engine.init_from={{{name}: {{source: {given.source}, missing: keep}}}}"
            raise WeightsError(
                f"{given.source} has no {', '.join(absent)}, which the model of the recipe has",
                hint=f'"{new}" begins with new values there',
            ) from error
        if not given.part and f"{name}." in {key[: len(name) + 1] for key in state}:
            hint = f"{given.source} has a part of that name: engine.init_from.{name}.part={name}"
            raise WeightsError(error.message, hint=hint) from error
        hint = f"give the recipe the same model fields as {given.source}: its config.yaml or its card states them"
        raise WeightsError(error.message, hint=hint) from error
    kept = current.keys() - to_parametrized(state, current).keys()
    if not kept:
        return []
    return [f"{what}: not in the source, and therefore at their initial values: {', '.join(_summary(kept, current))}"]


def _only_absent(state: Mapping[str, Any], current: Mapping[str, Tensor]) -> list[str]:
    """The parts of ``current`` that ``state`` lacks; empty where ``state`` lacks all, or does not fit otherwise."""
    named = to_parametrized(state, current)
    fits = all(name in current and named[name].shape == current[name].shape for name in named)
    return _summary(current.keys() - named.keys(), current) if named and fits else []


def _summary(names: Iterable[str], every: Iterable[str]) -> list[str]:
    """``names`` in order; ``path.*`` stands for all names below a path, where all of them are in ``names``."""
    chosen, order = set(names), list(every)
    whole: dict[str, bool] = {}
    for name in order:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            path = ".".join(parts[:depth])
            whole[path] = whole.get(path, True) and name in chosen
    found: dict[str, None] = {}
    for name in order:
        if name in chosen:
            parts = name.split(".")
            paths = (".".join(parts[:depth]) for depth in range(1, len(parts)))
            largest = next((path for path in paths if whole[path]), None)
            found[f"{largest}.*" if largest else name] = None
    return list(found)


def _target(model: nn.Module, networks: Mapping[str, nn.Module], name: str) -> nn.Module:
    """The module that ``init_from`` calls ``name``. Raises RecipeError with the names there are."""
    first, _, rest = name.partition(".")
    candidates = ((networks.get(first), rest), (model, name), (model if first == "model" else None, rest))
    for module, path in candidates:
        if module is None:
            continue
        try:
            return module.get_submodule(path)
        except AttributeError:
            continue
    known = [*networks]
    known += [f"{net}.{part}" for net, module in networks.items() for part, _ in module.named_children()]
    known += [part for part, _ in model.named_children() if part not in known]
    raise RecipeError(
        f"engine.init_from: {name!r} is neither a network nor a part of the model", hint=f"names: {', '.join(known)}"
    )


def _require_same_mel(model: nn.Module, found: Weights, source: str) -> None:
    """Raises WeightsError, with the differing fields, if the source was trained on another mel convention."""
    ours = getattr(getattr(model, "config", None), "mel", None)
    stated = validate(registry.get("models", found.name).Config, found.config, where=source)
    theirs = getattr(stated, "mel", None)
    if not isinstance(ours, MelConfig) or not isinstance(theirs, MelConfig) or not (fields := theirs.differences(ours)):
        return
    listed = "; ".join(f"{name}: {there} there and {here} here" for name, (there, here) in fields.items())
    raise WeightsError(
        f"{source} was trained on another mel convention than the model has ({listed})",
        hint="train with the mel of the weights: set audio=..., or, for a part that reads no mel,"
        f" engine.init_from='{{PART: {{source: {source}, mel: any}}}}'",
    )


def _require_same_codec(model: nn.Module, found: Weights, source: str) -> None:
    """Raises WeightsError if the source was trained on the codes of another codec than that of the model.

    Configs without a ``codec_fingerprint`` are not compared.
    """
    ours = getattr(getattr(model, "config", None), "codec_fingerprint", "")
    theirs = found.config.get("codec_fingerprint", "")
    if ours and theirs and ours != theirs:
        raise WeightsError(
            f"{source} was trained with a codec of other weights ({theirs}) than model.codec of the recipe ({ours})",
            hint=f"model.codec=PLACE of the codec of {source}; or train {source} again with the codec of the recipe",
        )
