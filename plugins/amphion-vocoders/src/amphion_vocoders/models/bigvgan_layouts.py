"""Published BigVGAN checkpoints: their publishers' tensor names and configs converted to ours.

"nvidia": {"generator": ...} with the authors' config.json, also where discriminators or an optimiser are in the same
file. "amphion": the same names; the config is nested or has keys in capitals. Version 1 states neither of the switches
of version 2, which then have their values of version 1.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_vocoders.models.hifigan_layouts import generator_fields
from amphion_vocoders.models.lowpass import lowpass

FILTERS = (".upsample.filter", ".downsample.lowpass.filter")


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError.

    The stored lowpass filters are compared with ours. A warning names one that differs.
    """
    given = flat_values(config)
    state = strip_prefix(unwrap(state, "generator", "generator_state_dict", "state_dict", "model"), "module.")
    if not any(name.endswith(".act.alpha") for name in state):
        hint = "a HiFi-GAN is read by vocoder/hifigan; the generator of BigVGAN is bigvgan_generator.pt or g_NUMBER"
        raise WeightsError("this is no generator of BigVGAN: no activation has a parameter alpha", hint=hint)
    fields = generator_fields(given, {"fmax": None, "sample_rate": 24000, "n_mels": 100})
    has_beta = any(name.endswith(".act.beta") for name in state)
    fields |= {
        "activation": given.text("activation", "snakebeta" if has_beta else "snake"),
        "log_scale": given.flag("snake_logscale", True),
        "tanh_at_final": given.flag("use_tanh_at_final", True),
        "bias_at_final": given.flag("use_bias_at_final", True),
    }
    stored = {name: tensor for name, tensor in state.items() if name.endswith(FILTERS)}
    compare_filters(stored)
    return fields, {f"generator.{name}": tensor for name, tensor in state.items() if name not in stored}


def compare_filters(stored: Mapping[str, Any]) -> None:
    """Warn if a stored filter is not the one that we compute."""
    ours = lowpass(torch.device("cpu"))
    for name, tensor in stored.items():
        same = isinstance(tensor, Tensor) and tensor.numel() == len(ours)
        if not same or not torch.allclose(tensor.float().flatten(), ours, atol=1e-4, rtol=0):
            text = f"the filter {name} of the checkpoint differs from BigVGAN's, which is used instead"
            warnings.warn(text, stacklevel=2)
            return
