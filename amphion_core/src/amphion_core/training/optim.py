"""Optimisers from the recipe's ``optim``, and parameters that are not trained."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from amphion_core.errors import RecipeError, nearest
from amphion_core.training.config import OptimConfig


def optimizer(config: OptimConfig, parameters: Iterable[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The optimiser of one network's parameters; fused into one kernel where the device supports it."""
    rate: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.name == "radam":
        return torch.optim.RAdam(parameters, betas=config.betas, eps=config.eps, **rate)
    rate["fused"] = device.type in ("cpu", "cuda")
    if config.name == "sgd":
        return torch.optim.SGD(parameters, momentum=config.betas[0], **rate)
    rule = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return rule(parameters, betas=config.betas, eps=config.eps, **rate)


def freeze(networks: Mapping[str, nn.Module], patterns: Iterable[str], paths: Mapping[str, str | None]) -> int:
    """Exclude the parameters that match a pattern from training; returns their number of values.

    A pattern is compared with ``network.name`` and, where it matches none, with the names inside the model. ``paths``
    states where in the model each network lies, see ``partition.paths_in_model``.
    Raises RecipeError for a pattern that no parameter matches, and for a network without trained parameters.
    """
    count = 0
    own = {f"{network}.{name}": value for network, net in networks.items() for name, value in net.named_parameters()}
    inside = dict(_in_model(own, paths))
    for pattern in patterns:
        fitting = [value for name, value in own.items() if fnmatchcase(name, pattern)]
        fitting = fitting or [value for name, value in inside.items() if fnmatchcase(name, pattern)]
        if not fitting:
            close = nearest(pattern, [f"{name.rpartition('.')[0]}.*" for name in own]) or next(iter(own), "")
            raise RecipeError(
                f"optim.freeze: no parameter matches {pattern!r}", hint=f"a pattern that matches: {close}"
            )
        for parameter in fitting:
            parameter.requires_grad_(False)
            count += parameter.numel()
    for network, module in networks.items():
        trained = [parameter.requires_grad for parameter in module.parameters()]
        if count and trained and not any(trained):
            raise RecipeError(
                f"optim.freeze: no parameter of the network {network!r} is left to train",
                hint="choose patterns of fewer parameters",
            )
    return count


def _in_model(own: Mapping[str, nn.Parameter], paths: Mapping[str, str | None]) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that lie in the model, with their names there."""
    for network, path in paths.items():
        for name, parameter in own.items():
            if path is not None and name.startswith(f"{network}."):
                yield f"{path}.{name.removeprefix(f'{network}.')}".removeprefix("."), parameter
