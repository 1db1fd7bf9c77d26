"""Published WaveNet checkpoints: their configs converted to ours; the tensor names are the same.

"r9y9": the file of wavenet_vocoder, whose network is under "state_dict", with the JSON file of its settings. Sizes
follow from the tensors, except the number of stacks and the kind of distribution where its size fits two kinds.
Files of revisions before 2019, which upsample with transposed convolutions, are another network and are refused.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import G, V, strip_prefix, to_parametrized, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig
from amphion_core.speakers import number_names


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    named = strip_prefix(unwrap(state, "state_dict"), "module.")
    tensors = to_parametrized(named, ())
    given = flat_values(config)
    first, conv = _shape(tensors, "first_conv"), _shape(tensors, "conv_layers.0.conv")
    last = _shape(tensors, "last_conv_layers.3")
    numbers = sorted(int(name.split(".")[3]) for name in tensors if name.startswith("upsample_net.upsample.up_layers."))
    if any(name.startswith("upsample_net.upsample_layers.") for name in tensors) or not numbers:
        raise WeightsError(
            "a checkpoint of an older WaveNet, which upsamples with transposed convolutions, or without a mel",
            hint="train a new one: amphion train wavenet",
        )
    rates = tuple(_shape(tensors, f"upsample_net.upsample.up_layers.{n}")[3] // 2 for n in dict.fromkeys(numbers))
    hop = 1
    for rate in rates:
        hop *= rate
    conv_in = _shape(tensors, "upsample_net.conv_in")
    layers = {name.split(".")[1] for name in tensors if name.startswith("conv_layers.")}
    fields = {
        "mel": _mel(given, conv_in[0], hop),
        "layers": len(layers),
        "stacks": given.whole("stacks", 4 if len(layers) % 4 == 0 else 1),
        "channels": first[0],
        "gate_channels": conv[0],
        "skip_channels": last[1],
        "kernel": conv[2],
        "dropout": given.number("dropout", 0.0, most=1),
        "context": conv_in[2] // 2,
        "upsample_rates": rates,
    }
    return fields | _output(given, first[1], last[0]) | _speakers(tensors), tensors


def _output(given: Values, inputs: int, outputs: int) -> dict[str, Any]:
    """The kind of distribution: classes have as many inputs, a normal distribution has two outputs."""
    if inputs > 1:
        return {"output": "mu_law", "classes": inputs}
    kind = given.text("output_distribution", "Normal" if outputs == 2 else "Logistic")
    if kind == "Normal" and outputs != 2:
        raise WeightsError(
            f"the checkpoint has a mixture of normal distributions ({outputs} outputs)",
            hint="only one normal distribution is supported; a mixture can be of logistic distributions",
        )
    if kind == "Normal":
        return {"output": "gaussian"}
    if outputs % 3:
        raise WeightsError(f"{outputs} outputs are no mixture of logistics", hint="check the checkpoint")
    return {"output": "logistics", "mixtures": outputs // 3}


def _speakers(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The number of speakers and the size of their embedding, if the network has one."""
    weight = tensors.get("embed_speakers.weight")
    if not isinstance(weight, Tensor) or weight.dim() != 2 or len(weight) < 2:
        return {}
    count, channels = weight.shape
    return {"n_speakers": count, "speakers": number_names(count), "speaker_channels": channels}


def _mel(given: Values, bands: int, hop: int) -> dict[str, Any]:
    """The mel convention, with what the settings state."""
    mel = MelConfig.preset("wavenet_22k_80").model_dump()
    size = given.whole("fft_size", max(mel["n_fft"], 4 * hop))
    return mel | {
        "sample_rate": given.whole("sample_rate", mel["sample_rate"]),
        "n_fft": size,
        "win_length": given.whole("win_length", size),
        "hop_length": hop,
        "n_mels": bands,
        "fmin": given.number("fmin", mel["fmin"]),
        "fmax": given.number("fmax", mel["fmax"]),
    }


def _shape(tensors: Mapping[str, Any], layer: str) -> tuple[int, ...]:
    """The shape of a layer's weight. Raises WeightsError unless there is one with three or four axes."""
    weight = tensors.get(f"{layer}.weight", tensors.get(layer + V, tensors.get(layer + G)))
    if not isinstance(weight, Tensor) or weight.dim() not in (3, 4):
        raise WeightsError(
            f"not a checkpoint of vocoder/wavenet: it has no weight of {layer} with three axes",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    return tuple(weight.shape)
