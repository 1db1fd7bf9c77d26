"""A network as it is stored: which component, its configuration and its tensors."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import registry
from amphion_core.config import validate
from amphion_core.errors import WeightsError
from amphion_core.stated_config import read_about

if TYPE_CHECKING:
    from torch import Tensor

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

        net = self.empty()
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

    def empty(self) -> Any:
        """The network without these weights, its parameters without values unless there are frozen parts.

        Its size is limited by theirs, unless frozen parts come from elsewhere.
        """
        from amphion_core.checkpoints.network_size import bounded
        from amphion_core.checkpoints.undrawn import Undrawn

        architecture = registry.get("models", self.name)
        where = self.origin or self.name
        config = validate(architecture.Config, self.config, where=where)
        most = None if self.frozen else SPARE + 8 * sum(getattr(tensor, "nbytes", 0) for tensor in self.state.values())
        with bounded(where, most), nullcontext() if self.frozen else Undrawn():
            return architecture(config)


def from_folder(folder: Path) -> Weights:
    """A weights folder. Raises WeightsError, RecipeError, RegistryError."""
    return from_files(folder / "config.yaml", folder / "model.safetensors", str(folder))


def from_files(config: Path, tensors: Path, origin: str) -> Weights:
    """The files of a weights folder, wherever they are. Raises WeightsError, RecipeError, RegistryError."""
    from amphion_core import weights

    name, fields = read_about(config)
    return Weights(registry.find("models", name).name, fields, weights.read_checkpoint(tensors), origin)
