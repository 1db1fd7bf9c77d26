"""A publisher's checkpoint with its config: read in a layout, and the layouts that fit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from amphion_core import registry, weights, yaml
from amphion_core.checkpoints import publisher_files, tensor_checks
from amphion_core.checkpoints.network_size import bounded
from amphion_core.checkpoints.weight_names import check_keys, expected_shapes, to_parametrized
from amphion_core.errors import AmphionError, RecipeError, WeightsError
from amphion_core.families import ModelArchitecture
from amphion_core.stored_weights import Weights

Config = Mapping[str, Any]
_CONFIG = "put its config.json or config.yaml beside the checkpoint, or give it: amphion convert --config FILE"


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint and its publisher's config, for one of our architectures. ``origin`` names the file in errors."""

    name: str
    architecture: type[ModelArchitecture]
    state: Mapping[str, Any]
    config: Config | None
    origin: str

    @property
    def shown(self) -> str:
        """The checkpoint in a message."""
        return self.origin or "the state dict"

    def read(self, layout: str) -> tuple[Any, dict[str, Tensor]]:
        """(Config, state dict) of the checkpoint in ``layout``.

        Raises WeightsError or RecipeError: an unknown layout, a config that is missing or wrong, other tensors.
        """
        if layout not in self.architecture.layouts:
            known = ", ".join(self.architecture.layouts) or "none"
            raise WeightsError(
                f"{self.name} does not read the layout {layout!r}", hint=f"it reads: {known}; amphion info {self.name}"
            )
        if layout in self.architecture.layouts_with_config and self.config is None:
            raise WeightsError(f"the layout {layout!r} of {self.name} needs the publisher's config", hint=_CONFIG)
        tensor_checks.check_readable(self.state, self.shown)
        try:
            config, tensors = self.architecture.import_state_dict(self.state, layout=layout, config=self.config)
        except AmphionError:
            raise
        except Exception as error:  # foreign files have values of any type, and layouts cannot check each of them
            text = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{self.shown} and its config cannot be read in the layout {layout!r} of"
                f" {self.name}: {type(error).__name__}: {text}",
                hint=f"check the layout and the config: amphion info {self.name}",
            ) from error
        return config, dict(tensors)

    def weights(self, layout: str) -> Weights:
        """The checkpoint in our format. Raises what `read` raises."""
        config, tensors = self.read(layout)
        return Weights(self.name, config.model_dump(mode="json"), tensors, self.origin)

    def fitting(self) -> list[tuple[str, Any, dict[str, Tensor]]]:
        """Each layout that reads the checkpoint, and whose tensors are exactly those of the network."""
        found = []
        for layout in self.architecture.layouts:
            try:
                config, tensors = self.read(layout)
                with bounded(self.name):
                    shapes = expected_shapes(lambda config=config: self.architecture(config))  # type: ignore[misc]
                check_keys(to_parametrized(tensors, shapes), shapes, self.name)
            except (WeightsError, RecipeError):
                continue
            found.append((layout, config, tensors))
        return found

    def layout(self) -> str:
        """The layout that fits, if all layouts that fit give the same network.

        Raises WeightsError: none fits, or the tensors do not show which of several layouts is meant.
        """
        found = self.fitting()
        if not self.architecture.layouts:
            raise WeightsError(f"{self.name} reads no published checkpoints", hint=f"amphion info {self.name}")
        known = ", ".join(self.architecture.layouts)
        if not found:
            hint = f"choose the model that the file belongs to, or name the layout with --layout ({known}) to see more"
            config = ""
            if self.config is None:
                config = "; there is no config of its publisher beside it"
                hint = (
                    f"name its publisher's config with --config FILE, or a layout with --layout ({known}) to see more"
                )
            raise WeightsError(f"{self.shown} fits no layout of {self.name}{config}", hint=hint)
        first, config, tensors = found[0]
        same = all(other == config and names.keys() == tensors.keys() for _, other, names in found[1:])
        if not same:
            fitting = ", ".join(layout for layout, _, _ in found)
            raise WeightsError(
                f"{self.shown} fits several layouts of {self.name}, and its tensors do not show which is meant",
                hint=f"name its publisher: --layout with one of {fitting}",
            )
        return first

    def explained(self, error: AmphionError, layout: str) -> AmphionError:
        """``error``, which reading in ``layout`` has raised, with a hint at the layouts that fit.

        If ``layout`` itself fits, the values of the tensors are wrong, in any layout, and the error stays as it is.
        """
        fitting = [other for other, _, _ in self.fitting()] if layout in self.architecture.layouts else []
        if not fitting or layout in fitting:
            return error
        return type(error)(error.message, hint=f"it fits another layout: --layout {' or '.join(fitting)}")


def open_published(
    name: str,
    checkpoint: "str | Path | Mapping[str, Any]",
    *,
    config: Config | None = None,
    files: Mapping[str, str | Path] | None = None,
) -> Published:
    """A checkpoint, as a file, a folder or a state dict, with the config that is given or lies beside it.

    ``files`` are further files by the keys that a layout reads; their contents become values of the config.
    Raises RegistryError, WeightsError.
    """
    ref = registry.find("models", name)
    architecture = ref.load()
    for what, value in (("the publisher's config", config), ("files", files)):
        if value is not None and not isinstance(value, Mapping):
            raise WeightsError(f"{what}: named values are needed, got {type(value).__name__}", hint="give a dict")
    origin = ""
    state: Any = checkpoint
    if isinstance(checkpoint, str | Path):
        path = Path(checkpoint)
        origin = path.name or str(path)
        _refuse_ours(path)
        state = weights.read_checkpoint(path)
        config = publisher_files.find_config(path) if config is None else config
    if not isinstance(state, Mapping):
        raise WeightsError(
            f"a checkpoint is a path or a state dict, got {type(state).__name__}",
            hint='import_model("vocoder/hifigan", "generator_v1", layout="jik876")',
        )
    beside = _files_beside(Path(checkpoint), architecture) if isinstance(checkpoint, str | Path) else {}
    further = {key: publisher_files.read_file(Path(file)) for key, file in {**beside, **(files or {})}.items()}
    return Published(ref.name, architecture, state, {**(config or {}), **further} if further else config, origin)


def _files_beside(checkpoint: Path, architecture: type[ModelArchitecture]) -> dict[str, Path]:
    """The further files of the architecture that lie beside a checkpoint, by their keys."""
    folder = checkpoint if checkpoint.is_dir() else checkpoint.parent
    found: dict[str, Path] = {}
    for key, names in architecture.files_beside.items():
        for path in map(folder.joinpath, names):
            if path.is_file():
                found.setdefault(key, path)
    return found


def _refuse_ours(path: Path) -> None:
    """Raise WeightsError for a weights folder of ours, or the file of weights in it. They need no conversion."""
    path = path.parent if path.name == "model.safetensors" else path
    about = path / "config.yaml"
    if about.is_file() and (path / "model.safetensors").is_file():
        found = yaml.read(about)
        if isinstance(found, dict) and {"name", "dist", "config"} <= found.keys():
            raise WeightsError(
                f"{path} is a weights folder of Amphion already", hint=f"load it: amphion_core.load({str(path)!r})"
            )
