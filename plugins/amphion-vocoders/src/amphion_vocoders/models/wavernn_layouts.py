"""Published WaveRNN checkpoints: their names and configs converted to ours.

"fatchord": the weights file of WaveRNN (``latest_weights.pyt``); the names are ours, and its step counter is left out.
"torchaudio": the state dict of torchaudio.models.WaveRNN, whose classes are always those of a mu-law.
Sizes follow from the tensors. 30 outputs are a mixture of 10 logistics and other powers of two are classes, as
published; a config's ``mode`` (MOL or RAW) decides otherwise.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig

_RESIDUAL = {"resblock_model.0": "conv1", "resblock_model.1": "batch_norm1", "resblock_model.3": "conv2",
             "resblock_model.4": "batch_norm2"}  # fmt: skip
_TORCHAUDIO = re.compile(r"upsample\.resnet\.melresnet_model\.(\d+)\.(?:(resblock_model\.\d)\.)?(\w+)")


def read(state: Mapping[str, Any], config: Mapping[str, Any], layout: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    named = strip_prefix(unwrap(state, "model_state", "state_dict"), "module.")
    tensors = _from_torchaudio(named) if layout == "torchaudio" else dict(named)
    tensors.pop("step", None)
    given = flat_values(config)
    conv_in, bands = _shape(tensors, "upsample.resnet.conv_in", 3), _shape(tensors, "I", 2)
    outputs, hidden = _shape(tensors, "fc3", 2)
    auxiliary = _shape(tensors, "upsample.resnet.conv_out", 3)[0]
    rates = _rates(tensors)
    hop = 1
    for rate in rates:
        hop *= rate
    if bands[1] != 1 + conv_in[1] + auxiliary // 4 or hop < 2:
        raise WeightsError(
            "not a checkpoint of vocoder/wavernn: its first layer does not take a sample, the mel and a quarter of the "
            "auxiliary channels",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    fields = {
        "mel": _mel(given, conv_in[1], hop),
        "channels": bands[0],
        "head_channels": hidden,
        "context": conv_in[2] // 2,
        "upsample_rates": rates,
        "residual_channels": conv_in[0],
        "residual_blocks": len({name.split(".")[3] for name in tensors if name.startswith("upsample.resnet.layers.")}),
        "auxiliary_channels": auxiliary,
    }
    return fields | _output(given, outputs, layout), tensors


def _output(given: Values, outputs: int, layout: str) -> dict[str, Any]:
    """The kind of distribution: as the config says, or as the number of outputs tells."""
    power = outputs & (outputs - 1) == 0
    mode = "RAW" if layout == "torchaudio" else given.text("mode", "RAW" if power else "MOL")
    if mode not in ("RAW", "MOL"):
        raise given.problem("mode", f"is {mode!r}; WaveRNN has RAW and MOL")
    if mode == "RAW":
        return {"output": "mu_law", "classes": outputs}
    if outputs % 3:
        raise WeightsError(f"{outputs} outputs are no mixture of logistics", hint="check the checkpoint and its mode")
    return {"output": "logistics", "mixtures": outputs // 3}


def _mel(given: Values, bands: int, hop: int) -> dict[str, Any]:
    """The mel convention, with what the config states."""
    mel = MelConfig.preset("wavernn_22k_80").model_dump()
    size = given.whole("n_fft", max(mel["n_fft"], hop))
    return mel | {
        "sample_rate": given.whole("sample_rate", mel["sample_rate"]),
        "n_fft": size,
        "win_length": given.whole("win_length", min(size, 4 * hop)),
        "hop_length": hop,
        "n_mels": bands,
        "fmin": given.number("fmin", mel["fmin"]),
    }


def _rates(tensors: Mapping[str, Any]) -> tuple[int, ...]:
    """The factors of the smoothing layers, whose kernels have 2 * factor + 1 taps."""
    found = {int(name.split(".")[2]) for name in tensors if re.fullmatch(r"upsample\.up_layers\.\d+\.weight", name)}
    return tuple(_shape(tensors, f"upsample.up_layers.{number}", 4)[3] // 2 for number in sorted(found))


def _from_torchaudio(state: Mapping[str, Any]) -> dict[str, Any]:
    """The names of torchaudio as ours."""
    numbers = {int(found[1]) for name in state if (found := _TORCHAUDIO.match(name))}
    last = max(numbers, default=0)

    def renamed(name: str) -> str:
        if found := _TORCHAUDIO.fullmatch(name):
            number, inner, part = int(found[1]), found[2], found[3]
            ends = {0: "conv_in", 1: "batch_norm", last: "conv_out"}
            layer = ends.get(number) or f"layers.{number - 3}.{_RESIDUAL.get(inner, inner)}"
            return f"upsample.resnet.{layer}.{part}"
        name = name.replace("upsample.upsample_layers.", "upsample.up_layers.")
        return "I." + name.removeprefix("fc.") if name.startswith("fc.") else name

    return {renamed(name): value for name, value in state.items()}


def _shape(tensors: Mapping[str, Any], layer: str, axes: int) -> tuple[int, ...]:
    """The shape of a layer's weight. Raises WeightsError unless there is one with so many axes."""
    weight = tensors.get(f"{layer}.weight")
    if not isinstance(weight, Tensor) or weight.dim() != axes:
        raise WeightsError(
            f"not a checkpoint of vocoder/wavernn: it has no weight of {layer} with {axes} axes",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    return tuple(weight.shape)
