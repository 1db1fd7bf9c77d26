"""Published HiFi-GAN checkpoints: the names and configs of their publishers, as ours.

"jik876": {"generator": ...} with the authors' config.json. "amphion": its accelerate folders and exports, config either
nested or with capital keys. "transformers": SpeechT5HifiGan and FastSpeech2ConformerHifiGan.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig
from amphion_core.weight_names import strip_prefix, unwrap


def read(state: Mapping[str, Any], layout: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    given = dict(_leaves(config))
    state = strip_prefix(unwrap(state, "generator", "generator_state_dict", "state_dict", "model"), "module.")
    if layout == "transformers":
        return _fields(_transformers_names(given)), _transformers_state(state, given)
    return _fields(given), {f"generator.{name}": tensor for name, tensor in state.items()}


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value of a nested config under its own lower-case key."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield str(key).lower(), value


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    def pick(*names: str) -> Any:
        for name in names:
            if name in given:
                return given[name]
        raise WeightsError(f"the publisher's config does not state {names[0]!r}", hint="give its own config.json")

    mel: dict[str, Any] = {}
    aliases = {
        "sample_rate": ("sampling_rate", "sample_rate"), "n_fft": ("n_fft",), "win_length": ("win_size", "win_length"),
        "hop_length": ("hop_size", "hop_length"), "n_mels": ("num_mels", "n_mel", "model_in_dim"),
        "fmin": ("fmin",), "fmax": ("fmax",),
    }  # fmt: skip
    for name, keys in aliases.items():
        if any(key in given for key in keys):
            mel[name] = pick(*keys)
    rates = tuple(pick("upsample_rates"))
    mel.setdefault("hop_length", int(torch.tensor(rates).prod()))
    base = MelConfig.preset("hifigan_22k_80").model_dump()
    return {
        "mel": base | mel,
        "channels": pick("upsample_initial_channel"),
        "upsample_rates": rates,
        "upsample_kernels": tuple(pick("upsample_kernel_sizes")),
        "resblock": str(pick("resblock")),
        "resblock_kernels": tuple(pick("resblock_kernel_sizes")),
        "resblock_dilations": tuple(map(tuple, pick("resblock_dilation_sizes"))),
    }


def _transformers_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """transformers has residual block 1 only, slope 0.1 only, and says little of the mel."""
    if given.get("leaky_relu_slope", 0.1) != 0.1:
        raise WeightsError(f"leaky_relu_slope is {given['leaky_relu_slope']}, HiFi-GAN's is 0.1")
    rate = given.get("sampling_rate", 22050)
    return {"resblock": "1", "fmax": min(8000, rate / 2), **given}


def _transformers_state(state: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Tensor]:
    """``upsampler`` is ``ups``; ``mean`` and ``scale`` normalise the mel and are folded into the first convolution."""
    mean: Any = state.get("mean")
    scale: Any = state.get("scale")
    renamed = {
        "generator." + name.replace("upsampler.", "ups.", 1): tensor
        for name, tensor in state.items()
        if name not in ("mean", "scale")
    }
    normalises = given.get("normalize_before", True) and mean is not None and scale is not None
    if normalises and (bool((mean != 0).any()) or bool((scale != 1).any())):
        raise WeightsError(
            "this checkpoint normalises its mel (normalize_before), which is not HiFi-GAN's convention",
            hint="its zero padding would mean another level; use it through transformers",
        )
    return renamed
