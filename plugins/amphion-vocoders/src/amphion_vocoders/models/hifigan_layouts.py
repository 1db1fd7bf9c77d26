"""Published HiFi-GAN checkpoints: their publishers' tensor names and configs converted to ours.

"jik876": {"generator": ...} with the authors' config.json. "amphion": its accelerate folders and exports; the config is
nested or has keys in capitals. "transformers": SpeechT5HifiGan and FastSpeech2ConformerHifiGan.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig
from amphion_core.publisher_files import flatten
from amphion_core.weight_names import strip_prefix, unwrap


def read(
    state: Mapping[str, Any], layout: str, config: Mapping[str, Any], *, slope: float
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config.

    ``slope`` is that of our leaky ReLUs, which some publishers state. Raises WeightsError.
    """
    given = flatten(config)
    state = strip_prefix(unwrap(state, "generator", "generator_state_dict", "state_dict", "model"), "module.")
    if layout == "transformers":
        return _transformers_fields(given, slope) | _statistics(state, given), _transformers_state(state)
    return _fields(given, {}), {f"generator.{name}": tensor for name, tensor in state.items()}


def _fields(given: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Our fields. Values of the mel that neither the publisher nor ``base`` states are those of the paper."""

    def pick(*names: str) -> Any:
        for name in names:
            if name in given:
                return given[name]
        raise WeightsError(
            f"the publisher's config does not state {names[0]!r}",
            hint="give its own config: amphion convert --config FILE",
        )

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
    mel.setdefault("hop_length", math.prod(rates))
    paper = MelConfig.preset("hifigan_22k_80").model_dump()
    if "n_fft" not in mel and mel["hop_length"] > paper["n_fft"] // 4:
        paper |= {"n_fft": 4 * mel["hop_length"], "win_length": 4 * mel["hop_length"]}
    return {
        "mel": paper | dict(base) | mel,
        "channels": pick("upsample_initial_channel"),
        "upsample_rates": rates,
        "upsample_kernels": tuple(pick("upsample_kernel_sizes")),
        "resblock": str(pick("resblock")),
        "resblock_kernels": tuple(pick("resblock_kernel_sizes")),
        "resblock_dilations": tuple(map(tuple, pick("resblock_dilation_sizes"))),
    }


def _transformers_fields(given: Mapping[str, Any], slope: float) -> dict[str, Any]:
    """transformers has residual block 1 only, and states no mel: it is that of its feature extractors.

    SpeechT5FeatureExtractor works at 16 kHz, and ESPnet's extractor for FastSpeech2Conformer at 22.05 kHz. Both have
    the same values otherwise.
    """
    if given.get("leaky_relu_slope", slope) != slope:
        raise WeightsError(
            f"the publisher's config has leaky_relu_slope {given['leaky_relu_slope']}, our HiFi-GAN has {slope} only",
            hint="amphion list --pretrained shows weights that load",
        )
    rate = given.get("sampling_rate", 22050)
    mel = {"fmin": 80.0, "fmax": min(7600.0, rate / 2), "log": "log10", "floor": 1e-10, "epsilon": 0.0}
    return _fields({"resblock": "1", "sampling_rate": rate, **given}, mel | {"padding": "center"})


def _statistics(state: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields ``mean`` and ``scale`` of a network that standardises its mel (``normalize_before``).

    They cannot be folded into the first convolution: its zero padding is a zero of the standardised mel.
    """
    mean, scale = state.get("mean"), state.get("scale")
    if not given.get("normalize_before", True) or mean is None or scale is None:
        return {}
    if not bool(mean.any()) and bool((scale == 1).all()):
        return {}
    return {"mean": tuple(mean.tolist()), "scale": tuple(scale.tolist())}


def _transformers_state(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors under our names. ``mean`` and ``scale`` are left out, because our config holds them."""
    return {
        "generator." + name.replace("upsampler.", "ups.", 1): tensor
        for name, tensor in state.items()
        if name not in ("mean", "scale")
    }
