"""Published HiFi-GAN checkpoints: their publishers' tensor names and configs converted to ours.

"jik876": {"generator": ...} with the authors' config.json. "amphion": its accelerate folders and exports; the config is
nested or has keys in capitals. "transformers": SpeechT5HifiGan and FastSpeech2ConformerHifiGan.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError, shown
from amphion_core.mel import MelConfig

STAGES = {"transformers": "upsampler.", "jik876": "ups.", "amphion": "ups."}
"""How the names of the upsampling layers begin in each layout. The names of the other layers are the same in all."""

LONGEST_HOP = 1 << 20  # samples
AUDIOLDM = MelConfig.preset("audioldm_16k_64")
MEL = {
    "sample_rate": ("sampling_rate", "sample_rate"), "n_fft": ("n_fft",), "win_length": ("win_size", "win_length"),
    "hop_length": ("hop_size", "hop_length"), "n_mels": ("num_mels", "n_mel", "model_in_dim"),
}  # fmt: skip


def read(
    state: Mapping[str, Any], layout: str, config: Mapping[str, Any], *, slope: float
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config.

    ``slope`` is that of our leaky ReLUs, which some publishers state. Raises WeightsError, also for a checkpoint whose
    names are those of another layout.
    """
    given = flat_values(config)
    state = strip_prefix(unwrap(state, "generator", "generator_state_dict", "state_dict", "model"), "module.")
    _require_layout(state, layout)
    if layout == "transformers":
        return _transformers_fields(given, slope) | _statistics(state, given), _transformers_state(state)
    return generator_fields(given, {}), {f"generator.{name}": tensor for name, tensor in state.items()}


def _require_layout(state: Mapping[str, Any], layout: str) -> None:
    """Raise WeightsError if the upsampling layers have the names of another layout."""
    stages = {name.partition(".")[0] + "." for name in state} & set(STAGES.values())
    if stages and stages != {STAGES[layout]}:
        fitting = [other for other, stage in STAGES.items() if stages == {stage}]
        raise WeightsError(
            f"this is no HiFi-GAN of the layout {layout!r}: its upsampling layers are named {'/'.join(sorted(stages))}",
            hint=f"choose the layout of its publisher: {' or '.join(fitting) or 'none fits'}",
        )


def stated_mel(given: Values) -> dict[str, Any]:
    """The fields of the mel that the publisher states."""
    mel: dict[str, Any] = {}
    for ours, names in MEL.items():
        if stated := [name for name in names if name in given]:
            mel[ours] = given.whole(stated[0])
    if "fmin" in given:
        mel["fmin"] = given.number("fmin")
    if given.has("fmax"):  # null is half the sample rate
        mel["fmax"] = given.number("fmax") if "fmax" in given else None
    return mel


def generator_fields(given: Values, base: Mapping[str, Any]) -> dict[str, Any]:
    """Our fields. Values of the mel that neither the publisher nor ``base`` states are those of the paper."""
    mel = stated_mel(given)
    rates = given.wholes("upsample_rates")
    if (hop := math.prod(rates)) > LONGEST_HOP:
        raise given.problem("upsample_rates", f"is {shown(list(rates))}, whose product is no hop of a mel")
    mel.setdefault("hop_length", hop)
    paper = MelConfig.preset("hifigan_22k_80").model_dump()
    if "n_fft" not in mel and mel["hop_length"] > paper["n_fft"] // 4:
        paper |= {"n_fft": 4 * mel["hop_length"], "win_length": 4 * mel["hop_length"]}
    return {
        "mel": paper | dict(base) | mel,
        "channels": given.whole("upsample_initial_channel"),
        "upsample_rates": rates,
        "upsample_kernels": given.wholes("upsample_kernel_sizes"),
        "resblock": str(given.whole("resblock")),
        "resblock_kernels": given.wholes("resblock_kernel_sizes"),
        "resblock_dilations": given.rows("resblock_dilation_sizes"),
    }


def _transformers_fields(given: Values, slope: float) -> dict[str, Any]:
    """transformers has residual block 1 only, and states no mel: it is that of its feature extractors.

    SpeechT5FeatureExtractor works at 16 kHz, and ESPnet's extractor for FastSpeech2Conformer at 22.05 kHz. Both have
    the same values otherwise. A network of 64 bands at 16 kHz is AudioLDM's vocoder, with AudioLDM's mel.
    """
    if (stated := given.number("leaky_relu_slope", slope)) != slope:
        raise given.problem(
            "leaky_relu_slope",
            f"is {stated}; our HiFi-GAN has {slope} only",
            hint="amphion list --pretrained shows weights that load",
        )
    rate = given.whole("sampling_rate", 22050)
    if (rate, given.whole("model_in_dim", 80)) == (AUDIOLDM.sample_rate, AUDIOLDM.n_mels):
        return generator_fields(given.with_defaults(resblock="1"), AUDIOLDM.model_dump())
    mel = {"sample_rate": rate, "fmin": 80.0, "fmax": min(7600.0, rate / 2), "log": "log10", "floor": 1e-10}
    return generator_fields(given.with_defaults(resblock="1"), mel | {"epsilon": 0.0, "padding": "center"})


def _statistics(state: Mapping[str, Any], given: Values) -> dict[str, Any]:
    """The fields ``mean`` and ``scale`` of a network that standardises its mel (``normalize_before``).

    They cannot be folded into the first convolution: its zero padding is a zero of the standardised mel.
    """
    mean, scale = state.get("mean"), state.get("scale")
    if not given.flag("normalize_before", True) or mean is None or scale is None:
        return {}
    for name, tensor in (("mean", mean), ("scale", scale)):
        if not isinstance(tensor, Tensor) or tensor.dim() != 1 or not tensor.is_floating_point():
            raise WeightsError(f"{name}: one number for each mel band is needed", hint="check the checkpoint")
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
