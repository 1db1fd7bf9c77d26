"""Published NaturalSpeech 2 checkpoints of Amphion: their tensors under our names, and their ``args.json`` as ours.

Sizes are read from the tensors; a config that states others is an error. The config tells what the tensors do not show:
attention heads, dilations, the noise. It may also have ``codec``, ``frontend``, ``mel`` and ``n_codebooks``, which are
ours. The codec's own tensors (``quantizer``) are left out, because the codec that the config names has them.
The published networks were trained with a constant in place of positions and with unscaled diffusion times, so the
result states ``positional: batch_index``, ``time_scale: 1``, ``midpoint: upstream`` and
``latent_scale: 1``.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_tts.models.fastspeech2_modules import positions
from amphion_tts.models.vits_shapes import check_sizes, shape

HINT = "give the publisher's own config: amphion convert --config args.json"
DENOISER = "diffusion.diff_estimator."
ENCODERS = {"prompt": "prompt_encoder", "encoder": "prior_encoder.encoder"}  # our prefix of fields: path of the tensors
PREDICTORS = {"duration": "prior_encoder.duration_predictor", "pitch": "prior_encoder.pitch_predictor"}
NEAR = 1e-3  # difference of a stored position table from ours; float16 rounds by 2.4e-4


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    named = strip_prefix(unwrap(state, "model", "state_dict"), "module.")
    fields = _fields_of_tensors(named)
    tensors = {
        name.replace(DENOISER, "denoiser.", 1): value
        for name, value in named.items()
        if not name.startswith("quantizer.") and name != "prior_encoder.encoder.enc_emb_tokens.weight"
    }
    for path in ENCODERS.values():
        _check_positions(tensors.pop(f"{path}.position_emb.pe", None), path, fields["hidden_channels"])
    given = Values(config, file="the publisher's config", hint=HINT)
    fields |= _stated(given.section("model") if "model" in given else given, fields)
    fields |= {"positional": "batch_index", "time_scale": 1.0, "midpoint": "upstream", "latent_scale": 1.0}
    ours = ("codec", "n_codebooks", "frontend", "mel")
    return fields | {name: given.get(name) for name in ours if name in given}, tensors


def _fields_of_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``NaturalSpeech2.Config`` that names and shapes of the tensors show."""
    table = shape(state, "prior_encoder.enc_emb_tokens.weight", 2)
    first, last = shape(state, f"{DENOISER}in_proj.weight", 3), shape(state, f"{DENOISER}out_proj.weight", 3)
    queries = shape(state, "query_emb.weight", 2)
    pitch = shape(state, "prior_encoder.pitch_embedding.weight", 2)
    if not (table and first and last and queries and pitch):
        head = ", ".join(str(name) for name in list(state)[:3]) or "nothing"
        raise WeightsError(f"this is no NaturalSpeech 2 checkpoint: it begins with {head}", hint="check --layout")
    fields: dict[str, Any] = {
        "vocabulary": table[0], "hidden_channels": table[1], "latent_channels": last[0], "query_tokens": queries[0],
        "n_bins": pitch[0], "denoiser_layers": _count(state, f"{DENOISER}layers"),
        "denoiser_attention_every": _distance(state, f"{DENOISER}layers", ".attn.in_proj_weight"),
    }  # fmt: skip
    for ours, path in ENCODERS.items():
        wide = shape(state, f"{path}.layers.0.ffn.ffn_1.weight", 3) or (0, 0, 0)
        fields |= {f"{ours}_layers": _count(state, f"{path}.layers"), f"{ours}_filter": wide[0]}
        fields[f"{ours}_kernel"] = wide[2]
    for ours, path in PREDICTORS.items():
        kernel = (shape(state, f"{path}.conv.0.0.weight", 3) or (0, 0, 0))[2]
        fields |= {f"{ours}_layers": _count(state, f"{path}.conv"), f"{ours}_kernel": kernel}
    layers, attentions = fields["duration_layers"], _count(state, f"{PREDICTORS['duration']}.cattn")
    fields["predictor_attention_every"] = math.ceil(layers / max(1, attentions))
    return fields


def _count(state: Mapping[str, Any], path: str) -> int:
    """The number of layers below ``path``."""
    depth = path.count(".") + 1
    return len({name.split(".")[depth] for name in state if name.startswith(f"{path}.")})


def _distance(state: Mapping[str, Any], path: str, ending: str) -> int:
    """The layers from the first to the second one below ``path`` that has a tensor with this ending."""
    depth = path.count(".") + 1
    found = sorted(int(name.split(".")[depth]) for name in state if name.startswith(path) and name.endswith(ending))
    return found[1] - found[0] if len(found) > 1 else max(1, _count(state, path))


def _check_positions(table: Any, path: str, channels: int) -> None:
    """Raise WeightsError unless a stored table begins with the sines of our own, of which the first row is used."""
    if table is None:
        return
    name = f"{path}.position_emb.pe"
    if not isinstance(table, Tensor) or table.dim() != 3 or table.shape[1:] != (1, channels):
        raise WeightsError(f"{name} is not a table (positions, 1, {channels})", hint="check --layout")
    ours = positions(len(table), channels, torch.device("cpu"))
    if table.is_meta or not float((table[:, 0].float() - ours).abs().max()) <= NEAR:
        raise WeightsError(
            f"{name} does not hold sines and cosines, so another network was trained",
            hint="only the published position tables are read",
        )


def _stated(model: Values, fields: dict[str, Any]) -> dict[str, Any]:
    """What ``args.json`` states of the network. Raises WeightsError where it contradicts the tensors."""
    prior, diffusion = model.section("prior_encoder"), model.section("diffusion")
    wavenet, queries = diffusion.section("wavenet"), model.section("query_emb")
    check_sizes(model, {"latent_dim": "latent_channels"}, fields)
    check_sizes(prior, {"vocab_size": "vocabulary", "pitch_bins_num": "n_bins"}, fields)
    check_sizes(queries, {"query_token_num": "query_tokens", "hidden_size": "hidden_channels"}, fields)
    names = {
        "num_layers": "denoiser_layers", "hidden_size": "hidden_channels", "input_size": "latent_channels",
        "cross_attn_per_layer": "denoiser_attention_every",
    }  # fmt: skip
    check_sizes(wavenet, names, fields)
    found: dict[str, Any] = {
        "denoiser_heads": wavenet.whole("attn_head", 8), "denoiser_dropout": wavenet.number("drop_out", 0.2, most=0.99),
        "dilation_cycle": wavenet.whole("dilation_cycle", 2),
        "query_heads": queries.whole("head_num", max(1, fields["hidden_channels"] // 64)),
        "pitch_range": (prior.number("pitch_min", 50.0), prior.number("pitch_max", 1100.0)),
        "noise_rate": (diffusion.number("beta_min", 0.05), diffusion.number("beta_max", 20.0)),
    }  # fmt: skip
    for name in ("sigma", "noise_factor"):
        if diffusion.number(name, 1.0) != 1:
            raise diffusion.problem(name, f"is {diffusion.get(name)}; only networks with 1 are read")
    sections = {"prompt": model.section("prompt_encoder"), "encoder": prior.section("encoder")}
    for ours, section in sections.items():
        names = {
            "encoder_layer": f"{ours}_layers", "encoder_hidden": "hidden_channels",
            "conv_filter_size": f"{ours}_filter", "conv_kernel_size": f"{ours}_kernel",
        }  # fmt: skip
        check_sizes(section, names, fields)
        found[f"{ours}_heads"] = section.whole("encoder_head", 8)
        found[f"{ours}_dropout"] = section.number("encoder_dropout", 0.2, most=0.99)
    for ours in PREDICTORS:
        section = prior.section(f"{ours}_predictor")
        names = {"conv_layers": f"{ours}_layers", "kernel_size": f"{ours}_kernel", "filter_size": "hidden_channels"}
        check_sizes(section, names | {"cross_attn_per_layer": "predictor_attention_every"}, fields)
        found["predictor_heads"] = section.whole("attn_head", 8)
        found["predictor_dropout"] = section.number("drop_out", 0.5, most=0.99)
    return found
