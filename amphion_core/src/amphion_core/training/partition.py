"""Which modules of a trainer are trained and which stay frozen, wherever the trainer holds them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from amphion_core.errors import AmphionError


@dataclass(slots=True)
class Partition:
    """All modules of a trainer, by what training does with them.

    ``networks`` are trained as a whole. ``frozen`` are the largest modules that contain nothing trained, each under
    the path at which the trainer holds it, such as ``model.encoder`` or ``teachers.large``. ``mixed`` are the modules
    that contain both, such as a model of which a part is trained.
    """

    networks: dict[str, nn.Module]
    frozen: dict[str, nn.Module] = field(default_factory=dict)
    mixed: dict[str, nn.Module] = field(default_factory=dict)

    def set_training(self, training: bool) -> None:
        """Switch the networks, and the modules around them, to train or eval mode. Frozen modules stay in eval mode."""
        for module in self.mixed.values():
            module.training = training  # not train(): that would also switch what is frozen inside
        for network in self.networks.values():
            network.train(training)

    def frozen_tensors(self) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
        """The tensors that training relies on and never changes, by the path of their module."""
        for path, module in self.frozen.items():
            yield path, module.state_dict()
        for path, module in self.mixed.items():
            if buffers := dict(module.named_buffers(recurse=False)):
                yield path, buffers


def partition(networks: Mapping[str, nn.Module], held: Mapping[str, object]) -> Partition:
    """Sort all modules in ``held``, a trainer's attributes, by whether they belong to one of ``networks``.

    Modules are also found in lists, tuples and dicts, at any depth. Raises AmphionError that names the parameter:
    one that two networks share, or one that belongs neither to a network nor to a frozen module.
    """
    owners: dict[int, str] = {}
    for name, network in networks.items():
        for inside, parameter in network.named_parameters():
            if (other := owners.setdefault(id(parameter), name)) != name:
                raise AmphionError(
                    f"the networks {other} and {name} share the parameter {name}.{inside}",
                    hint="return each parameter in one network only; two optimisers would both update it",
                )
    found = Partition(dict(networks))
    modules = {id(module) for network in networks.values() for module in network.modules()}
    seen: set[int] = set()

    def has_trained(module: nn.Module) -> bool:
        return any(id(inner) in modules for inner in module.modules()) or any(
            id(parameter) in owners for parameter in module.parameters()
        )

    def sort(path: str, module: nn.Module) -> None:
        if id(module) in modules or id(module) in seen:
            return
        seen.add(id(module))
        if not has_trained(module):
            found.frozen[path] = module
            return
        for name, parameter in module.named_parameters(recurse=False):
            _require_owner(f"{path}.{name}", parameter, owners)
        found.mixed[path] = module
        for name, child in module.named_children():
            sort(f"{path}.{name}", child)

    for path, value in _held_values("", held, set()):
        if isinstance(value, nn.Module):
            sort(path, value)
        else:
            _require_owner(path, value, owners)
    return found


def paths_in_model(networks: Mapping[str, nn.Module], model: nn.Module) -> dict[str, str | None]:
    """Where in ``model`` each network, or each part of it, lies: ``{"encoder": "text.encoder", "judge": None}``.

    The path is empty for the whole model, and None for a network outside the model. A network that is not a module of
    the model but contains some of its modules is listed by its parts: ``{"both.0": "encoder", "both.1": "decoder"}``.
    """
    places = {id(module): path for path, module in model.named_modules()}
    found: dict[str, str | None] = {}

    def search(name: str, module: nn.Module) -> bool:
        if id(module) in places and (module is model or module.state_dict()):
            found[name] = places[id(module)]
            return True
        parts = [search(f"{name}.{child}", inner) for child, inner in module.named_children()]
        return any(parts)

    for name, network in networks.items():
        if not search(name, network):
            found[name] = None
    return found


def _require_owner(path: str, parameter: object, owners: Mapping[int, str]) -> None:
    if id(parameter) not in owners:
        raise AmphionError(
            f"the parameter {path} belongs to no network, and to no module that is frozen as a whole",
            hint="put it into a separate module that networks() returns, or register it as a buffer",
        )


def _held_values(path: str, value: object, seen: set[int]) -> Iterator[tuple[str, nn.Module | nn.Parameter]]:
    """Every module and parameter in nested lists, tuples and dicts, with its path."""
    if isinstance(value, nn.Module | nn.Parameter):
        yield path, value
    elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
        seen.add(id(value))
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in items:
            yield from _held_values(f"{path}.{key}" if path else str(key), inner, seen)
