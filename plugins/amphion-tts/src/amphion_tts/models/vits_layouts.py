"""Published VITS checkpoints: their publishers' tensor names and configs converted to ours.

Our tensor names are those of the authors' release, so the layout "jaywalnut310" needs no renaming. Piper's voices are
read in ``vits_piper.py``, Coqui's in ``vits_coqui.py``.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from amphion_core.checkpoints.publisher_values import Values, flat_values
from amphion_core.checkpoints.weight_names import strip_prefix, to_folded, unwrap
from amphion_core.errors import shown
from amphion_tts.models import vits_coqui, vits_piper
from amphion_tts.models.vits_shapes import check_sizes, fields_of_tensors, mel_fields, scales, vocabulary
from amphion_tts.models.vits_speakers import KEYS as SPEAKER_KEYS, speaker_names
from amphion_vocoders import HiFiGANGenerator

UPSAMPLING = ("upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes")
SCALES = {"noise_scale": "noise_scale", "noise_scale_w": "duration_noise_scale", "length_scale": "length_scale"}
TRANSFORMERS_SIZES = {
    "hidden_size": "hidden_channels", "ffn_dim": "filter_channels", "num_attention_heads": "n_heads",
    "num_hidden_layers": "n_layers", "ffn_kernel_size": "kernel", "window_size": "window",
    "flow_size": "latent_channels", "upsample_initial_channel": "channels",
}  # fmt: skip
TRANSFORMERS_SCALES = {"noise_scale": "noise_scale", "noise_scale_duration": "duration_noise_scale"}
MEL = {
    "sampling_rate": "sample_rate", "filter_length": "n_fft", "hop_length": "hop_length", "win_length": "win_length",
    "n_mel_channels": "n_mels", "mel_fmin": "fmin", "mel_fmax": "fmax",
}  # fmt: skip
AMPHION_MEL = {
    "sample_rate": "sample_rate", "n_fft": "n_fft", "hop_size": "hop_length", "win_size": "win_length",
    "n_mel": "n_mels", "fmin": "fmin", "fmax": "fmax",
}  # fmt: skip


def read(state: Mapping[str, Any], layout: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    fields, named = _READERS[layout](dict(state), config)
    return {**fields, "vocabulary": vocabulary(named, layout)}, named


def _stages(given: Values, state: Mapping[str, Any], mel_names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the decoder's stages, and the mel convention, whose hop is the product of their rates."""
    rates = given.wholes("upsample_rates")
    return {
        "mel": mel_fields(given, mel_names, state, math.prod(rates)), "upsample_rates": rates,
        "upsample_kernels": given.wholes("upsample_kernel_sizes"),
        "resblock_kernels": given.wholes("resblock_kernel_sizes"),
        "resblock_dilations": given.rows("resblock_dilation_sizes"),
    }  # fmt: skip


def _given_parts(given: Values, n_speakers: int) -> dict[str, Any]:
    """The speakers' names, and the frontend that a user adds to the config: the symbols are in other files."""
    frontend = {"frontend": given.get("frontend")} if given.has("frontend") else {}
    return {"speakers": speaker_names([given], n_speakers), **frontend}


def _values(config: Mapping[str, Any]) -> Values:
    """The values of a config whose sections do not matter, with the frontend that a user may add."""
    return flat_values(config, keep=("frontend", *SPEAKER_KEYS))


def _official(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The authors' names, and their config or Amphion's. Widths are read from the shapes of the tensors."""
    given, named = _values(config), _bare(state)
    given.require(*UPSAMPLING, "resblock")
    fields = fields_of_tensors(named)
    fields |= _stages(given, named, MEL | AMPHION_MEL) | {"resblock": str(given.whole("resblock"))}
    fields |= scales(given, SCALES)
    check_sizes(given, {"n_heads": "n_heads"}, fields)
    return fields | _given_parts(given, fields["n_speakers"]), named


def _amphion(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The authors' names. With one speaker the conditioning layers are never used, so they are dropped."""
    fields, named = _official(state, config)
    if "emb_g.weight" not in named:
        named = {name: value for name, value in named.items() if ".cond" not in name}
    return fields, named


def _transformers(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``VitsModel``. Its decoder has no weight norms; where a checkpoint stores them, they are folded here."""
    given = _values(config)
    given.require(*UPSAMPLING)
    for name, fixed in _TRANSFORMERS_FIXED.items():
        if name in given and given.get(name) != fixed:
            raise given.problem(
                name,
                f"is {shown(given.get(name))}; our VITS has {fixed} only",
                hint="amphion list --pretrained shows weights that load",
            )
    named: dict[str, Any] = {}
    for name, value in to_folded(_bare(state)).items():
        ours = _rename_transformers(name)
        if ours.startswith("enc_p.encoder.attn_layers") and ours.endswith("weight"):
            value = value[..., None]  # a linear layer there, a convolution of width 1 here
        named[ours] = value
    fields = fields_of_tensors(named)
    check_sizes(given, TRANSFORMERS_SIZES, fields)
    if "num_speakers" in given and max(1, given.whole("num_speakers", least=0)) != fields["n_speakers"]:
        raise given.problem(
            "num_speakers", f"is {given.get('num_speakers')}; the checkpoint has {fields['n_speakers']}"
        )
    n_fft = 2 * (given.whole("spectrogram_bins", 513, least=2) - 1)
    fields |= _stages(given, named, {}) | {
        "stochastic_duration": given.flag("use_stochastic_duration_prediction", True), "resblock": "1",
        "noise_scale": 0.667, "duration_noise_scale": 0.8, **scales(given, TRANSFORMERS_SCALES),
        "length_scale": 1 / given.number("speaking_rate", 1.0, least=0.01, most=100),
    }  # fmt: skip
    rate = given.whole("sampling_rate", 16000)
    fields["mel"] |= {"sample_rate": rate, "n_fft": n_fft, "win_length": n_fft}
    return fields | _given_parts(given, fields["n_speakers"]), named


_TRANSFORMERS_FIXED = {  # values that the shapes of the tensors do not show
    "leaky_relu_slope": HiFiGANGenerator.slope, "hidden_act": "relu", "layer_norm_eps": 1e-5,
    "wavenet_dilation_rate": 1, "duration_predictor_flow_bins": 10, "duration_predictor_tail_bound": 5.0,
    "wavenet_kernel_size": 5, "duration_predictor_kernel_size": 3, "depth_separable_num_layers": 3,
    "duration_predictor_num_flows": 4, "prior_encoder_num_flows": 4, "prior_encoder_num_wavenet_layers": 4,
    "posterior_encoder_num_wavenet_layers": 16,
}  # fmt: skip
_TRANSFORMERS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^text_encoder\.embed_tokens\.", "enc_p.emb."),
    (r"^text_encoder\.project\.", "enc_p.proj."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.([qkv])_proj\.", r"enc_p.encoder.attn_layers.\1.conv_\2."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.out_proj\.", r"enc_p.encoder.attn_layers.\1.conv_o."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.attention\.(emb_rel_[kv])$", r"enc_p.encoder.attn_layers.\1.\2"),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.feed_forward\.", r"enc_p.encoder.ffn_layers.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.layer_norm\.", r"enc_p.encoder.norm_layers_1.\1."),
    (r"^text_encoder\.encoder\.layers\.(\d+)\.final_layer_norm\.", r"enc_p.encoder.norm_layers_2.\1."),
    (r"^posterior_encoder\.conv_pre\.", "enc_q.pre."),
    (r"^posterior_encoder\.conv_proj\.", "enc_q.proj."),
    (r"^posterior_encoder\.wavenet\.", "enc_q.enc."),
    (r"^flow\.flows\.(\d+)\.", lambda match: f"flow.flows.{2 * int(match[1])}."),
    (r"^(flow\.flows\.\d+)\.conv_pre\.", r"\1.pre."),
    (r"^(flow\.flows\.\d+)\.conv_post\.", r"\1.post."),
    (r"^(flow\.flows\.\d+)\.wavenet\.", r"\1.enc."),
    (r"^duration_predictor\.", "dp."),
    (r"^dp\.(post_)?flows\.([1-9]\d*)\.", lambda match: f"dp.{match[1] or ''}flows.{2 * int(match[2]) - 1}."),
    (r"^dp\.(post_)?conv_(pre|proj)\.", r"dp.\1\2."),
    (r"^dp\.(post_)?conv_dds\.", r"dp.\1convs."),
    (r"^(dp\.(?:post_)?flows\.\d+)\.conv_(pre|proj)\.", r"\1.\2."),
    (r"^(dp\.(?:post_)?flows\.\d+)\.conv_dds\.", r"\1.convs."),
    (r"\.convs_dilated\.", ".convs_sep."),
    (r"\.convs_pointwise\.", ".convs_1x1."),
    (r"\.translate$", ".m"),
    (r"\.log_scale$", ".logs"),
    (r"^decoder\.upsampler\.", "dec.ups."),
    (r"^decoder\.", "dec."),
    (r"^embed_speaker\.", "emb_g."),
)


def _rename_transformers(name: str) -> str:
    for pattern, replacement in _TRANSFORMERS:
        name = re.sub(pattern, replacement, name)
    if re.match(r"^(enc_p\.encoder\.norm_layers|dp\..*norm)", name):
        name = re.sub(r"\.weight$", ".gamma", re.sub(r"\.bias$", ".beta", name))
    return name


def _bare(state: Mapping[str, Any]) -> dict[str, Any]:
    return strip_prefix(unwrap(state, "model", "state_dict", "generator"), "module.")


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[dict[str, Any], dict[str, Any]]]] = {
    "jaywalnut310": _official,
    "amphion": _amphion,
    "piper": vits_piper.read,
    "transformers": _transformers,
    "coqui": vits_coqui.read,
}
