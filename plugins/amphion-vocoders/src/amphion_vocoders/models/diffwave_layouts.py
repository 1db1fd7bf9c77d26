"""Published DiffWave checkpoints: their configs converted to ours; the tensor names are the same.

"lmnt": the public implementation's file, whose network is under "model" and whose settings are under "params".
"amphion": Amphion v0.1, whose network is under "state_dict", with its config in sections.
Sizes follow from the tensors, except the number of layers after which the dilation begins again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig


def read(state: Mapping[str, Any], config: Mapping[str, Any], layout: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    stated = state.get("params")
    given = flat_values({**(stated if isinstance(stated, Mapping) else {}), **config})
    tensors = strip_prefix(unwrap(state, "model", "state_dict"), "module.")
    tensors.pop("diffusion_embedding.embedding", None)  # a table that is computed
    layers = {name.split(".")[1] for name in tensors if name.startswith("residual_layers.")}
    bands = _shape(tensors, "residual_layers.0.conditioner_projection", 3)[1]
    rates = tuple(_shape(tensors, f"spectrogram_upsampler.conv{n}", 4)[3] // 2 for n in (1, 2))
    fields = {
        "mel": _mel(given, layout, bands, rates[0] * rates[1]),
        "layers": len(layers),
        "channels": _shape(tensors, "input_projection", 3)[0],
        "cycle": given.whole("dilation_cycle_length", 10),
        "upsample_rates": rates,
    }
    return fields | _noises(given), tensors


def _mel(given: Values, layout: str, bands: int, hop: int) -> dict[str, Any]:
    """The mel convention of the layout's publisher, with the sizes that the config states."""
    if layout == "amphion":
        mel = MelConfig.preset("amphion_24k_100").model_dump()
        names = {"sample_rate": "sample_rate", "n_fft": "n_fft", "win_length": "win_size"}
        mel["fmin"], mel["fmax"] = given.number("fmin", mel["fmin"]), given.number("fmax", 0.0) or mel["fmax"]
    else:
        mel = MelConfig.preset("diffwave_22k_80").model_dump()
        names = {"sample_rate": "sample_rate", "n_fft": "n_fft"}
        mel["win_length"] = 4 * hop  # as the public implementation does
    mel |= {ours: given.whole(theirs, mel[ours]) for ours, theirs in names.items()}
    return mel | {"n_mels": bands, "hop_length": hop}


def _noises(given: Values) -> dict[str, Any]:
    """The training schedule, stated as a list or as first, last and number. Raises WeightsError unless it is linear."""
    if (factors := given.get("noise_schedule_factors")) is not None:
        try:
            first, last, steps = factors
            return {"first_noise": float(first), "last_noise": float(last), "steps": int(steps)}
        except (TypeError, ValueError) as error:
            raise given.wrong("noise_schedule_factors", "a list of first, last and number") from error
    if (listed := given.get("noise_schedule")) is None:
        return {}
    try:
        noises = np.asarray(listed, dtype=float)
        linear = noises.ndim == 1 and noises.size > 1
    except (TypeError, ValueError):
        linear = False
    if not linear or not np.allclose(noises, np.linspace(noises[0], noises[-1], len(noises)), rtol=1e-4):
        raise given.wrong("noise_schedule", "a list of numbers in equal steps")
    return {"first_noise": float(noises[0]), "last_noise": float(noises[-1]), "steps": len(noises)}


def _shape(tensors: Mapping[str, Any], layer: str, axes: int) -> tuple[int, ...]:
    """The shape of a layer's weight. Raises WeightsError unless there is one with so many axes."""
    weight = tensors.get(f"{layer}.weight")
    if not isinstance(weight, Tensor) or weight.dim() != axes:
        raise WeightsError(
            f"not a checkpoint of vocoder/diffwave: it has no {layer}.weight with {axes} axes",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    return tuple(weight.shape)
