"""The weights of a run: its result, or the model in one of its checkpoints."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from amphion_core import yaml
from amphion_core.checkpoints.weight_names import expected_shapes
from amphion_core.config import BaseConfig, validate
from amphion_core.errors import WeightsError
from amphion_core.mel import Mel
from amphion_core.parts import ModelPart
from amphion_core.stored_weights import Weights, from_folder
from amphion_core.training import checkpoint


def from_run(folder: Path) -> Weights:
    """The result of a run, or its best checkpoint so far. Raises WeightsError before the first checkpoint."""
    if (folder / "weights" / "config.yaml").is_file():
        return from_folder(folder / "weights")
    newest = checkpoint.newest(folder / "checkpoints", lambda text: warnings.warn(text, stacklevel=4))
    if newest is None:
        raise WeightsError(
            f"the run {folder} has no checkpoint yet", hint=f"train it further: amphion train {folder} --resume"
        )
    best = checkpoint.best_step(newest)
    if best is not None and (chosen := newest.with_name(f"step-{best}")).is_dir():
        try:
            return from_checkpoint(chosen)
        except WeightsError as error:
            warnings.warn(f"{error.message}: the newest checkpoint is used, not the best", stacklevel=4)
    return from_checkpoint(newest)


def from_checkpoint(folder: Path) -> Weights:
    """The model's tensors in a checkpoint. ``state.json`` states where in the model each network belongs."""
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


def _model_of_run(path: Path) -> ModelPart:
    """The model that a run's ``config.yaml`` states. The recipe's other parts need not be installed."""

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


def _only_network(tensors: Mapping[str, Tensor], model: Weights) -> dict[str, str]:
    """The stored network that is the model itself, for checkpoints that do not say where their networks belong."""
    names = set(expected_shapes(model.empty))
    for network in dict.fromkeys(name.partition(".")[0] for name in tensors):
        if {name.removeprefix(f"{network}.") for name in tensors if name.startswith(f"{network}.")} == names:
            return {network: ""}
    raise WeightsError(
        f"{model.origin} holds no network that is a whole {model.name}",
        hint="use the run's weights folder, which is written when the run ends",
    )
