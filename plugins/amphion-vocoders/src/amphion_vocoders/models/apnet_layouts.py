"""Published APNet and APNet2 checkpoints: their publishers' tensor names and configs converted to ours.

"yangai520", "redmist328": {"generator": ...} with the authors' config.json. "amphion": its exports of APNet; the config
is nested, ``n_mel`` takes the place of ``num_mels``, and frames are not centred. Each name begins with its branch, ASP
for amplitudes and PSP for phases; APNet2's blocks do so by a 2 for amplitudes and nothing for phases.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, to_parametrized, unwrap
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig
from amphion_vocoders.models.amplitude_phase import KERNEL
from amphion_vocoders.models.hifigan_layouts import stated_mel

REAL, IMAGINARY = "PSP_output_R_conv.", "PSP_output_I_conv."
"""The last convolutions for the phase, which are one in our networks: real part first."""

APNET = {
    "ASP_input_conv.": "amplitude.pre.", "ASP_ResNet.": "amplitude.blocks.", "ASP_output_conv.": "amplitude.post.",
    "PSP_input_conv.": "phase.pre.", "PSP_ResNet.": "phase.blocks.", REAL: "phase.post.",
}  # fmt: skip
APNET2 = {
    "ASP_input_conv.": "amplitude.backbone.embed.", "norm2.": "amplitude.backbone.norm.",
    "convnext2.": "amplitude.backbone.convnext.", "final_layer_norm2.": "amplitude.backbone.final_layer_norm.",
    "ASP_output_conv.": "amplitude.head.0.", "PSP_input_conv.": "phase.backbone.embed.",
    "norm.": "phase.backbone.norm.", "convnext.": "phase.backbone.convnext.",
    "final_layer_norm.": "phase.backbone.final_layer_norm.", REAL: "phase.head.0.",
}  # fmt: skip


def read_apnet(
    state: Mapping[str, Any], layout: str, config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of APNet. Raises WeightsError, also for the config of the other layout."""
    given = flat_values(config)
    bands, other = ("n_mel", "num_mels") if layout == "amphion" else ("num_mels", "n_mel")
    if other in given and bands not in given:
        raise given.problem(other, f"belongs to another layout; {layout} has {bands}")
    given.require(bands)
    fields = {
        "mel": _mel(given, "amphion_24k_100" if layout == "amphion" else "apnet_16k_80"),
        "channels": _same(given, "channel"),
        "resblock_kernels": _same(given, "resblock_kernel_sizes"),
        "resblock_dilations": _same(given, "resblock_dilation_sizes"),
    }
    return fields, _renamed(state, APNET, "vocoder/apnet")


def read_apnet2(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of APNet2. Number and width of its blocks are those of the tensors."""
    given = flat_values(config)
    given.require("num_mels")
    tensors = _renamed(state, APNET2, "vocoder/apnet2")
    layers = {name.split(".")[3] for name in tensors if name.startswith("phase.backbone.convnext.")}
    inner = tensors.get("phase.backbone.convnext.0.pwconv1.weight")
    if not isinstance(inner, Tensor) or inner.dim() != 2:
        raise WeightsError("convnext.0.pwconv1.weight: a tensor with two axes is needed", hint="check the checkpoint")
    fields = {
        "mel": _mel(given, "apnet2_22k_80"),
        "channels": _same(given, "channel"),
        "inner_channels": len(inner),
        "layers": len(layers),
    }
    return fields, tensors


def _renamed(state: Mapping[str, Any], names: Mapping[str, str], what: str) -> dict[str, Tensor]:
    """The tensors under our names. Those that we do not know keep theirs, so that they are reported."""
    state = strip_prefix(unwrap(state, "generator", "generator_state_dict", "state_dict", "model"), "module.")
    tensors = to_parametrized(state, ())
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        start = next((start for start in names if name.startswith(start)), "")
        ours = names.get(start, "") + name.removeprefix(start)
        if start == REAL and (other := tensors.get(IMAGINARY + name.removeprefix(REAL))) is not None:
            found[ours] = _joined(tensor, other, name)
        elif not name.startswith(IMAGINARY):
            found[ours] = tensor
    if not any(name.startswith(("amplitude.", "phase.")) for name in found):
        raise WeightsError(
            f"not a checkpoint of {what}: it begins with {', '.join(list(state)[:3])[:200] or 'nothing'}",
            hint="choose the model and the layout that the file belongs to: amphion list models",
        )
    return found


def _joined(real: Any, imaginary: Any, name: str) -> Tensor:
    """The weights of both last convolutions as those of one."""
    if not isinstance(real, Tensor) or not isinstance(imaginary, Tensor) or real.shape != imaginary.shape:
        raise WeightsError(
            f"{name} and {name.replace(REAL, IMAGINARY)} do not have the same shape", hint="check the checkpoint"
        )
    return torch.cat([real, imaginary])


def _mel(given: Values, preset: str) -> dict[str, Any]:
    """The fields of the mel, and a check of the kernels, which are constants of our networks."""
    for part in ("asp_input_conv", "asp_output_conv", "psp_input_conv", "psp_output_r_conv", "psp_output_i_conv"):
        name = f"{part}_kernel_size"
        if given.whole(name, KERNEL) != KERNEL:
            raise given.problem(name, f"is {given.get(name)}; our network has {KERNEL} only")
    return MelConfig.preset(preset).model_dump() | stated_mel(given)


def _same(given: Values, name: str) -> Any:
    """A value that both branches state, which must be equal in ours."""
    amplitude, phase = (_sizes(given, f"{branch}_{name}") for branch in ("asp", "psp"))
    if amplitude != phase:
        raise given.problem(f"PSP_{name}", f"is not ASP_{name}; both branches of ours have the same size")
    return amplitude


def _sizes(given: Values, name: str) -> Any:
    """Whole numbers: one, a list, or a list of lists."""
    if name.endswith("channel"):
        return given.whole(name)
    return given.rows(name) if name.endswith("dilation_sizes") else given.wholes(name)
