"""Published WaveGlow checkpoints: their tensor names and configs converted to ours.

"nvidia": the state dict of the authors' network, alone or under "state_dict" or "model". The sizes follow from the
tensors, except the mel, which the config may state (``data_config``). Older checkpoints have one conditioning layer
for each dilated convolution; they are joined. Exports hold inverses of the 1x1 convolutions; they are inverted back.
Files that hold a pickled network instead of its state dict contain code and are refused before they are opened.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.checkpoints.weight_names import G, V, strip_prefix, to_parametrized, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig

_INVERSE = re.compile(r"(convinv\.\d+)\.(?:W_inverse|conv_inverse\.weight|conv\.weight_inverse)")
_SEPARATE = re.compile(r"(WN\.\d+)\.cond_layers\.(\d+)\.(.+)")


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    named = strip_prefix(unwrap(state, "state_dict", "model"), "module.")
    tensors = _join_conditions(to_parametrized(_invert(named), ()))
    return _fields(tensors, config), tensors


def _invert(state: Mapping[str, Any]) -> dict[str, Any]:
    """Each 1x1 convolution under ``conv.weight``. A stored inverse is used only where that is missing."""
    found = {name: tensor for name, tensor in state.items() if not _INVERSE.fullmatch(name)}
    for name, tensor in state.items():
        match = _INVERSE.fullmatch(name)
        if match and f"{match[1]}.conv.weight" not in found:
            if not isinstance(tensor, Tensor) or tensor.dim() not in (2, 3):
                raise WeightsError(f"{name}: a square matrix is needed", hint="check the checkpoint")
            matrix = tensor.double().reshape(tensor.shape[0], -1)
            found[f"{match[1]}.conv.weight"] = torch.linalg.inv(matrix).float()[..., None]
    return found


def _join_conditions(state: Mapping[str, Any]) -> dict[str, Any]:
    """The conditioning layers of older checkpoints, ``cond_layers.N``, as the present ``cond_layer``."""
    joined: dict[str, Any] = {}
    parts: dict[str, dict[int, Any]] = {}
    for name, tensor in state.items():
        if match := _SEPARATE.fullmatch(name):
            parts.setdefault(f"{match[1]}.cond_layer.{match[3]}", {})[int(match[2])] = tensor
        else:
            joined[name] = tensor
    return joined | {name: torch.cat([rows[index] for index in sorted(rows)]) for name, rows in parts.items()}


def _fields(tensors: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Our fields, from the tensors' shapes and from the config, whose sections have different names."""
    upsample, start = _shape(tensors, "upsample"), _shape(tensors, "WN.0.start")
    sizes: list[int] = []
    while f"convinv.{len(sizes)}.conv.weight" in tensors:
        sizes.append(_shape(tensors, f"convinv.{len(sizes)}.conv")[0])
    layers = {name.split(".")[3] for name in tensors if name.startswith("WN.0.in_layers.")}
    if not sizes or not layers:
        raise WeightsError(
            "not a checkpoint of vocoder/waveglow: it has no flows", hint="choose the model that the file belongs to"
        )
    changes = [flow for flow in range(1, len(sizes)) if sizes[flow] != sizes[flow - 1]]
    given, mel = flat_values(config), MelConfig.preset("tacotron2_22k_80").model_dump()
    names = {"sample_rate": "sampling_rate", "n_fft": "filter_length", "win_length": "win_length"}
    mel |= {"n_mels": upsample[0], "hop_length": given.whole("hop_length", mel["hop_length"])}
    mel |= {ours: given.whole(theirs, mel[ours]) for ours, theirs in names.items()}
    mel["fmin"] = given.number("mel_fmin", mel["fmin"])
    mel["fmax"] = given.number("mel_fmax", mel["fmax"])
    return {
        "mel": mel,
        "group": sizes[0],
        "flows": len(sizes),
        "early_every": changes[0] if changes else len(sizes),
        "early_size": sizes[changes[0] - 1] - sizes[changes[0]] if changes else 2,
        "layers": len(layers),
        "channels": start[0],
        "kernel": _shape(tensors, "WN.0.in_layers.0")[2],
        "upsample_kernel": upsample[2],
    }


def _shape(tensors: Mapping[str, Any], layer: str) -> tuple[int, int, int]:
    """The shape of a layer's weight. Raises WeightsError unless there is one with three axes."""
    weight = tensors.get(f"{layer}.weight", tensors.get(layer + V, tensors.get(layer + G)))
    if not isinstance(weight, Tensor) or weight.dim() != 3:
        raise WeightsError(
            f"not a checkpoint of vocoder/waveglow: it has no weight of {layer} with three axes",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    return weight.shape[0], weight.shape[1], weight.shape[2]
