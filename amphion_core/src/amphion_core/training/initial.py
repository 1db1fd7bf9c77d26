"""Networks as flat tensors, and the weights that a run begins with."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from amphion_core import weights
from amphion_core.errors import RecipeError, WeightsError
from amphion_core.training import checkpoint


def flat(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Every tensor of every network's state dict as ``network.name``."""
    return {f"{name}.{key}": value for name, net in networks.items() for key, value in net.state_dict().items()}


def load_flat(networks: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Put tensors named as by ``flat`` into the networks. Raises WeightsError that names the keys that do not fit."""
    for name, network in networks.items():
        mine = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        weights.load_state(network, mine, what=name)


def load(networks: dict[str, nn.Module], source: str | dict[str, str] | None) -> None:
    """The weights of the recipe's ``engine.init_from``.

    A string is a checkpoint of a run (all its networks), or else a card or weights folder for the first network. A
    mapping names networks, or parts of them such as ``discriminator.mpd``, each with a card or weights folder.
    Raises RecipeError for a name that is no network, WeightsError for weights that do not fit.
    """
    if source is None:
        return
    if isinstance(source, str):
        if (Path(source) / checkpoint.SUMS).is_file():
            load_flat(networks, checkpoint.read(Path(source))[0]["networks"])
            return
        source = {next(iter(networks)): source}
    for name, place in source.items():
        weights.load_state(_part(networks, name), _state(place), what=f"{name} from {place}")


def digest(module: nn.Module) -> str:
    """A hash of all weights: what a frozen network is remembered by."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:24]


def _part(networks: dict[str, nn.Module], name: str) -> nn.Module:
    first, _, rest = name.partition(".")
    try:
        return networks[first].get_submodule(rest)
    except (KeyError, AttributeError) as error:
        known = [
            *networks,
            *(f"{net}.{part}" for net, module in networks.items() for part, _ in module.named_children()),
        ]
        raise RecipeError(
            f"engine.init_from: there is no network {name!r}", hint=f"networks: {', '.join(known)}"
        ) from error


def _state(place: str) -> Mapping[str, Tensor]:
    """The tensors of a weights folder or a card, as they are before inference folds them."""
    folder = Path(place)
    if (folder / "config.yaml").is_file():
        return weights.open_folder(folder)[2]
    if folder.exists():
        raise WeightsError(
            f"{place} is neither a weights folder nor a checkpoint of a run",
            hint="bring a published checkpoint in first: amphion convert",
        )
    from amphion_core.loading import load_for_training

    return dict(load_for_training(place).state_dict())
