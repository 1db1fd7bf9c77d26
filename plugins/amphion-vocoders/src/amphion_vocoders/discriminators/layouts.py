"""Published discriminators: names and configs of their publishers, as ours, and what the import functions share."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.weight_names import strip_prefix, unwrap


def example_wave() -> Tensor:
    """A tenth of a second at 24 kHz, (1, 1, T), for the conformance kit."""
    return torch.linspace(-1, 1, 2400).sin()[None, None]


def own(state: Mapping[str, Any], *wrappers: str) -> dict[str, Tensor]:
    """The tensors of one discriminator of a checkpoint: unwrapped, DistributedDataParallel's prefix taken off."""
    return strip_prefix(unwrap(state, *wrappers, "state_dict", "model"), "module.")


def leaves(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every value of a nested config under its own lower-case key."""
    found: dict[str, Any] = {}
    for key, value in (config or {}).items():
        found |= leaves(value) if isinstance(value, Mapping) else {str(key).lower(): value}
    return found


def count(tensors: Mapping[str, Any], prefix: str) -> int:
    """How many numbers follow ``prefix`` in the names."""
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def spectral(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Spectral norms of the old spelling (weight_orig, weight_u, weight_v) under torch's present names."""
    found = {}
    for name, tensor in tensors.items():
        layer, _, part = name.rpartition(".")
        if part in ("weight_u", "weight_v") and f"{layer}.weight_orig" in tensors:
            name = f"{layer}.parametrizations.weight.0._{part[-1]}"
        elif part == "weight_orig":
            name = f"{layer}.parametrizations.weight.original"
        found[name] = tensor
    return found


def without_computed(state: Mapping[str, Tensor], *computed: str) -> dict[str, Tensor]:
    """A spectrogram discriminator's tensors under our names, without those that are computed here.

    Publishers store windows, transforms and resampling filters as buffers of the modules named in ``computed``; and
    convolutions inside a module ``conv``.
    """
    found = {}
    for name, tensor in state.items():
        head, _, rest = name.removeprefix("discriminators.").partition(".")
        if rest.startswith(computed):
            continue
        rest = rest.replace(".conv.", ".")
        inner = rest if rest.startswith("conv_pres.") else f"judge.{rest}"
        found[f"discriminators.{head}.{inner}"] = tensor
    return found
