"""Published MelGAN generators: the authors' tensor names converted to ours.

"descriptinc": layers are numbered ``model.N`` in one sequence with activations and paddings, which have no tensors. A
transposed convolution is followed by its stage's residual layers. The sizes of the network follow from the tensors.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, to_parametrized, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig

PARTS = {"block.2": "dilated", "block.4": "pointwise", "shortcut": "shortcut"}
_NAME = re.compile(r"model\.(\d+)\.((?:block\.\d+|shortcut)\.)?(.+)")


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint; ``config`` may state the mel. Raises WeightsError."""
    state = strip_prefix(unwrap(state, "netG", "generator", "state_dict", "model"), "module.")
    tensors = to_parametrized(state, ())
    found = [match for match in map(_NAME.fullmatch, tensors) if match]
    layers = {int(match[1]): bool(match[2]) for match in found}
    plain = sorted(index for index, residual in layers.items() if not residual)
    if len(found) != len(tensors) or len(plain) < 3 or len(layers) == len(plain):
        raise WeightsError(
            f"not a checkpoint of vocoder/melgan: it begins with {', '.join(list(tensors)[:3])[:200] or 'nothing'}",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    ups = plain[1:-1]
    per_stage = sum(layers.values()) // len(ups)
    renamed = {}
    for match in found:
        index, part, rest = int(match[1]), match[2], match[3]
        if not part:
            ours = "pre" if index == plain[0] else "post" if index == plain[-1] else f"stages.{ups.index(index)}.up"
        else:
            stage = sum(up < index for up in ups) - 1
            ours = f"stages.{stage}.layers.{index - ups[max(0, stage)] - 1}.{PARTS.get(part[:-1], part[:-1])}"
        renamed[f"{ours}.{rest}"] = tensors[match[0]]
    return _fields(tensors, plain[0], ups, per_stage, config), renamed


def _fields(
    tensors: Mapping[str, Any], first: int, ups: list[int], per_stage: int, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Our fields: sizes of the tensors, and the mel of the paper with the bands and the hop of the network."""
    channels, bands = _shape(tensors, first)[:2]
    rates = tuple(_shape(tensors, up)[2] // 2 for up in ups)
    given, mel = flat_values(config), MelConfig.preset("melgan_22k_80").model_dump()
    mel |= {"n_mels": bands, "hop_length": math.prod(rates)}
    if mel["n_fft"] < 4 * mel["hop_length"]:
        mel |= {"n_fft": 4 * mel["hop_length"], "win_length": 4 * mel["hop_length"]}
    for ours, theirs in (("sample_rate", "sampling_rate"), ("n_fft", "n_fft"), ("win_length", "win_length")):
        mel[ours] = given.whole(theirs, mel[ours])
    return {"mel": mel, "channels": channels, "upsample_rates": rates, "residual_layers": per_stage}


def _shape(tensors: Mapping[str, Any], layer: int) -> tuple[int, int, int]:
    """The shape of a layer's weight. Raises WeightsError unless it has three axes."""
    names = (f"model.{layer}.weight", f"model.{layer}.parametrizations.weight.original1")
    weight = next((tensors[name] for name in names if name in tensors), None)
    if not isinstance(weight, Tensor) or weight.dim() != 3:
        raise WeightsError(f"model.{layer}.weight: a tensor with three axes is needed", hint="check the checkpoint")
    return weight.shape[0], weight.shape[1], weight.shape[2]
