"""The denoiser in published checkpoints of SVC models (layout "amphion"): its sizes, and which copy of it is used.

Sizes follow from the tensors, except the number of layers after which the dilation begins again.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.errors import WeightsError
from amphion_svc.models.condition_layout import given_values, read_condition, read_mel, read_range, split

NEWEST = "decoder.denoise_fn."
AVERAGE = "decoder.denoise_fn_ema."
TEACHER = "decoder.denoise_fn_pretrained."
RANGES = {"sigma_data": 0.5, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}


def read_diffwavenet(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a DiffWaveNetSVC. Raises WeightsError."""
    given = given_values(config)
    first, second = split(state, "DiffWaveNetSVC")
    fields, tensors = read_condition(first, given)
    n_mels, sizes = denoiser_fields(second, "", given)
    fields |= sizes | read_mel(given, n_mels) | read_range(given, n_mels)
    about = given.section("model").section("diffusion").section("scheduler_settings")
    fields["diffusion"] = {
        "steps": about.whole("num_train_timesteps", 1000), "first_noise": about.number("beta_start", 1e-4),
        "last_noise": about.number("beta_end", 0.02), "clip": "every_step",
    }  # fmt: skip
    if (kind := about.get("beta_schedule") or "linear") != "linear":
        raise about.problem("beta_schedule", f"is {kind}, and only linear is read")
    return fields, tensors | {f"denoiser.{name}": value for name, value in second.items()}


def read_diffcomo(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a DiffComoSVC: the student's average, or the teacher. Raises WeightsError."""
    given = given_values(config)
    first, second = split(state, "DiffComoSVC")
    fields, tensors = read_condition(first, given)
    is_student = any(name.startswith(AVERAGE) for name in second)
    used = AVERAGE if is_student else NEWEST
    copies = (NEWEST, AVERAGE, TEACHER)
    chosen = {name: value for name, value in second.items() if not name.startswith(copies)}
    chosen |= {NEWEST + name.removeprefix(used): value for name, value in second.items() if name.startswith(used)}
    n_mels, sizes = denoiser_fields(chosen, NEWEST, given)
    fields |= sizes | _encoder_fields(chosen) | read_mel(given, n_mels) | read_range(given, n_mels)
    about = given.section("model").section("comosvc")
    noise: dict[str, Any] = {name: about.number(name, value) for name, value in RANGES.items()}
    fields["noise"] = noise | {"c_skip": "edm", "noise_mean": "cond"}
    fields["stage"] = "student" if is_student else "teacher"
    return fields, tensors | chosen


def denoiser_fields(state: Mapping[str, Any], prefix: str, given: Values) -> tuple[int, dict[str, Any]]:
    """The number of bands, and the fields of a denoiser whose tensors begin with ``prefix``. Raises WeightsError."""
    network = f"{prefix}neural_network."
    channels, bands, _ = _shape(state, f"{network}input.0.weight", 3)
    hidden, sinusoids = _shape(state, f"{prefix}diff_encoder.out.0.weight", 2)
    layers = {
        name.removeprefix(network).split(".")[1] for name in state if name.startswith(f"{network}residual_blocks.")
    }
    about = given.section("model").section("diffusion").section("bidilconv")
    return bands, {
        "channels": channels, "layers": len(layers), "sinusoids": sinusoids, "hidden": hidden,
        "cycle": about.whole("dilation_cycle_length", 4),
    }  # fmt: skip


def _encoder_fields(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the encoder that makes the coarse mel."""
    channels, _, _ = _shape(state, "encoder.conformer_encoder.attn_layers.0.conv_q.weight", 3)
    _, _, size = _shape(state, "encoder.conformer_encoder.attn_layers.0.emb_rel_k", 3)
    layers = {name.split(".")[3] for name in state if name.startswith("encoder.conformer_encoder.attn_layers.")}
    width = _shape(state, "encoder.conformer_encoder.ffn_layers.0.conv_1.weight", 3)[0]
    return {"n_heads": channels // size, "n_layers": len(layers), "filter_channels": width}


def _shape(state: Mapping[str, Any], name: str, axes: int) -> tuple[int, ...]:
    """The shape of a tensor. Raises WeightsError unless there is one with so many axes."""
    found = state.get(name)
    if not isinstance(found, Tensor) or found.dim() != axes:
        raise WeightsError(
            f"the checkpoint has no tensor 1.{name} with {axes} axes",
            hint="choose the model and the layout that the file belongs to: amphion list models 'svc/*'",
        )
    return tuple(found.shape)
