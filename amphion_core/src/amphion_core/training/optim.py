"""Optimisers from the recipe's ``optim``, and parameters that are not trained."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from amphion_core.errors import RecipeError
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


def freeze(networks: dict[str, nn.Module], patterns: Iterable[str]) -> int:
    """Exclude the parameters whose ``network.name`` matches a pattern from training; returns their number of values.

    Raises RecipeError for a pattern that no parameter matches, and for a network without trained parameters.
    """
    count = 0
    for pattern in patterns:
        fitting = [
            parameter
            for network, module in networks.items()
            for name, parameter in module.named_parameters()
            if fnmatchcase(f"{network}.{name}", pattern)
        ]
        if not fitting:
            some = next((f"{n}.{name}" for n, module in networks.items() for name, _ in module.named_parameters()), "")
            raise RecipeError(f"optim.freeze: no parameter matches {pattern!r}", hint=f"a parameter is called {some}")
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
