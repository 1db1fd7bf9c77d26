"""Published discriminators: their publishers' tensor names and configs converted to ours."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError


def example_wave() -> Tensor:
    """A tenth of a second at 24 kHz, (1, 1, T), for the conformance kit."""
    return torch.linspace(-1, 1, 2400).sin()[None, None]


def network_tensors(state: Mapping[str, Any], *wrappers: str) -> dict[str, Tensor]:
    """The tensors of one discriminator in a checkpoint, which stores them under one of ``wrappers`` or bare.

    The prefix ``module.`` of DistributedDataParallel is removed.
    """
    return strip_prefix(unwrap(state, *wrappers, "state_dict", "model"), "module.")


OF_VITS = ("jaywalnut310", "piper")
"""Layouts whose checkpoints hold VITS's discriminator: one of a scale, then those of the periods."""
_SCALE = "discriminators.0."  # VITS: the discriminator of the scale; those of the periods follow


def parts_of_vits(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of the scale, and those of the periods counted from 0, in VITS's discriminator.

    Piper's checkpoints hold it beside the generator, under the prefix ``model_d.``. Raises WeightsError for another
    discriminator.
    """
    tensors = network_tensors(state)
    if any(name.startswith("model_d.") for name in tensors):
        tensors = {name[8:]: tensor for name, tensor in tensors.items() if name.startswith("model_d.")}
    axes = {tensor.dim() for name, tensor in tensors.items() if name.startswith(f"{_SCALE}convs.0.weight")}
    if axes != {3}:
        raise WeightsError(
            "this is no discriminator of VITS: its first part is not that of a scale",
            hint="discriminators of HiFi-GAN have the layout jik876",
        )
    scale, periods = {}, {}
    for name, tensor in tensors.items():
        index, _, rest = name.removeprefix("discriminators.").partition(".")
        if name.startswith(_SCALE):
            scale[name] = tensor
        else:
            periods[f"discriminators.{int(index) - 1}.{rest}" if index.isdecimal() else name] = tensor
    return scale, periods


_MELGAN = re.compile(r"model\.disc_(\d+)\.model\.layer_(\d+)\.(?:\d+\.)?(.+)")
_MELGAN_LAST = 6  # its last layer, which makes the scores


def rename_melgan(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """MelGAN's discriminator under our names: ``model.disc_S.model.layer_N`` is convolution N of scale S."""
    renamed = {}
    for name, tensor in tensors.items():
        if match := _MELGAN.fullmatch(name):
            layer = "conv_post" if int(match[2]) == _MELGAN_LAST else f"convs.{match[2]}"
            name = f"discriminators.{match[1]}.{layer}.{match[3]}"
        renamed[name] = tensor
    return renamed


def whole_numbers(given: Values, names: tuple[str, ...], default: tuple[int, ...]) -> tuple[int, ...]:
    """The list of whole numbers under the first of ``names`` that the config states. Raises WeightsError."""
    stated = [name for name in names if name in given]
    return given.wholes(stated[0]) if stated else default


def width(tensors: Mapping[str, Any], name: str, default: int) -> int:
    """The channels of the convolution whose bias is called ``name``; ``default`` where there is no such bias."""
    bias = tensors.get(name)
    return len(bias) if isinstance(bias, Tensor) and bias.dim() == 1 and len(bias) else default


def count_indices(tensors: Mapping[str, Any], prefix: str) -> int:
    """How many different indices follow ``prefix`` in the names: 2 for ``prefix.0.weight`` and ``prefix.1.weight``."""
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def rename_spectral_norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Spectral norms under the present names of torch; older versions store weight_orig, weight_u and weight_v."""
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, part = name.rpartition(".")
        if part in ("weight_u", "weight_v") and f"{layer}.weight_orig" in tensors:
            name = f"{layer}.parametrizations.weight.0._{part[-1]}"
        elif part == "weight_orig":
            name = f"{layer}.parametrizations.weight.original"
        renamed[name] = tensor
    return renamed


def rename_spectrogram_judge(state: Mapping[str, Tensor], *computed: str) -> dict[str, Tensor]:
    """A spectrogram discriminator's tensors under our names.

    Publishers keep each convolution inside a module ``conv``. They also store windows, transforms and resampling
    filters, in the modules named in ``computed``; these are removed, because we compute them.
    """
    renamed = {}
    for name, tensor in state.items():
        index, _, rest = name.removeprefix("discriminators.").partition(".")
        if rest.startswith(computed):
            continue
        rest = rest.replace(".conv.", ".")
        inner = rest if rest.startswith("conv_pres.") else f"judge.{rest}"
        renamed[f"discriminators.{index}.{inner}"] = tensor
    return renamed
