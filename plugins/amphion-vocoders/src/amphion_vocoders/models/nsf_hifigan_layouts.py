"""Published NSF-HiFiGAN checkpoints: their publishers' tensor names and configs converted to ours.

"openvpi": {"generator": ...} with its config.json, and files of a training, where the generator's names begin with
"generator." and discriminators are beside it. "amphion": the names of version 0.1. Its code computed the source and
then added the activations to themselves. Those weights need what they were trained with: here the upsampling layers
are doubled instead, and the source, whose weights never learned, is left out.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig
from amphion_vocoders.models.hifigan_layouts import generator_fields

SOURCE = ("m_source.", "noise_convs.", "source_conv.")
DOUBLED = (".weight_g", ".weight.original0", ".bias")  # of an upsampling layer with weight norm
MELS = {"openvpi": "nsf_44k_128", "amphion": "amphion_24k_100"}  # where the publisher's config does not state the mel


def read(state: Mapping[str, Any], layout: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    given = flat_values(config)
    state = _generator(state)
    if not any(name.startswith(SOURCE) for name in state):
        hint = "a HiFi-GAN is read by vocoder/hifigan, from the layouts that amphion info vocoder/hifigan lists"
        raise WeightsError("this is no generator of NSF-HiFiGAN: it has neither m_source nor source_conv", hint=hint)
    fields = generator_fields(given, MelConfig.preset(MELS[layout]).model_dump())
    if layout == "amphion":
        kept = {name: tensor for name, tensor in state.items() if not name.startswith(SOURCE)}
        return fields | {"source": "ignored"}, {f"generator.{name}": tensor for name, tensor in _doubled(kept).items()}
    if given.number("noise_sigma", 0.0):
        raise given.problem("noise_sigma", "is not 0: noise in the generator's activations is not supported")
    stated = _source_fields(state, given)
    return fields | stated, {
        f"{'source' if name.startswith(SOURCE) else 'generator'}.{name}": tensor for name, tensor in state.items()
    }


def _generator(state: Mapping[str, Any]) -> dict[str, Any]:
    """The generator's tensors, also of a training's file, which holds other networks and an optimiser beside them."""
    found = strip_prefix(unwrap(state, "generator", "generator_state_dict", "state_dict", "model"), "module.")
    mine = {name: tensor for name, tensor in found.items() if name.startswith("generator.")}
    return strip_prefix(mine or found, "generator.")


def _source_fields(state: Mapping[str, Any], given: Values) -> dict[str, Any]:
    """The source that the checkpoint has, which must be the one that the config states."""
    mini = "source_conv.weight" in state
    if given.flag("mini_nsf", mini) != mini:
        raise given.problem("mini_nsf", f"is {str(not mini).lower()}, which is not what the checkpoint is")
    if mini:
        return {"source": "mini"}
    merge = state.get("m_source.l_linear.weight")
    if not isinstance(merge, Tensor) or merge.dim() != 2:
        raise WeightsError("m_source.l_linear.weight: a matrix is needed", hint="check the checkpoint")
    return {"source": "harmonics", "harmonics": merge.shape[1] - 1}


def _doubled(state: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors, with outputs of the upsampling layers twice as large."""
    folded = not any(name.startswith("ups.") and name.endswith(DOUBLED[:2]) for name in state)
    names = (".weight", ".bias") if folded else DOUBLED
    return {
        name: 2 * tensor if name.startswith("ups.") and name.endswith(names) else tensor
        for name, tensor in state.items()
    }
