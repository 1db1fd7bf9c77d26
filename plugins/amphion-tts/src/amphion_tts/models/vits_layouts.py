"""Published VITS checkpoints: their publishers' tensor names and configs converted to ours.

Our tensor names are those of the authors' release, so the layout "jaywalnut310" needs no renaming.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch

from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig
from amphion_core.publisher_files import flatten
from amphion_core.weight_names import strip_prefix, to_folded, unwrap
from amphion_vocoders import HiFiGANGenerator

State = dict[str, Any]


def read(state: Mapping[str, Any], layout: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], State]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    fields, named = _READERS[layout](dict(state), config)
    if "enc_p.emb.weight" not in named:
        head = ", ".join(list(state)[:3])
        raise WeightsError(
            f"this is no VITS checkpoint of the layout {layout!r}: it begins with {head}", hint="check --layout"
        )
    names = _speaker_names(config, fields["n_speakers"])
    return {**fields, "speakers": names, "vocabulary": len(named["enc_p.emb.weight"])}, named


def _speaker_names(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """The names of ``count`` speakers by index, where the publisher states them; a speaker without one has its number.

    Piper writes ``speaker_id_map``, Amphion ``spk2id``, Coqui and users of the authors' code ``speakers``; each is a
    list, or a mapping from name to index. Raises WeightsError for an index that the checkpoint does not have.
    """
    if count < 2:
        return ()
    sections = [config, *(config[key] for key in ("data", "model_args") if isinstance(config.get(key), Mapping))]
    keys = ("speaker_id_map", "spk2id", "speaker_ids", "speakers")
    stated = next((found for section in sections for key in keys if (found := section.get(key))), None)
    if isinstance(stated, Mapping):
        by_index = {int(index): str(name) for name, index in stated.items()}
    else:
        by_index = dict(enumerate(map(str, stated if isinstance(stated, list | tuple) else ())))
    if by_index and not 0 <= min(by_index) <= max(by_index) < count:
        raise WeightsError(f"the publisher's config names speaker {max(by_index)}, the checkpoint has {count} speakers")
    return tuple(by_index.get(index, str(index)) for index in range(count))


def _official(state: State, config: Mapping[str, Any]) -> tuple[dict[str, Any], State]:
    return _official_fields(flatten(config, keep=("frontend",)), state := _bare(state)), state


def _amphion(state: State, config: Mapping[str, Any]) -> tuple[dict[str, Any], State]:
    """The authors' names. With one speaker the conditioning layers are never used, so they are dropped."""
    fields, state = _official(state, config)
    if "emb_g.weight" not in state:
        fields["n_speakers"] = 1
        state = {name: value for name, value in state.items() if ".cond" not in name}
    return fields, state


def _piper(state: State, config: Mapping[str, Any]) -> tuple[dict[str, Any], State]:
    """A Lightning checkpoint, whose generator has the prefix ``model_g.``, or an exported ONNX voice."""
    state = dict(unwrap(state, "state_dict"))
    if any(name.startswith("model_g.") for name in state):
        state = {name.removeprefix("model_g."): value for name, value in state.items() if name.startswith("model_g.")}
    elif any(name == "sid" or name.startswith(("/", "onnx::")) for name in state):  # names in an ONNX graph
        state = _onnx_names(state)
    quality = _piper_decoder(state)
    audio, inference = config.get("audio", {}), config.get("inference", {})
    fields = {
        "frontend": _piper_frontend(config),
        "mel": _mel({"sampling_rate": audio.get("sample_rate", 22050), "hop_length": audio.get("hop_length", 256)}),
        "n_speakers": max(1, int(config.get("num_speakers", 1))),
        "posterior": any(name.startswith("enc_q.") for name in state),
        "stochastic_duration": "dp.flows.0.m" in state,
        **_widths(state), **quality,
    }  # fmt: skip
    scales = {"noise_scale": "noise_scale", "noise_w": "duration_noise_scale", "length_scale": "length_scale"}
    fields |= {ours: inference[theirs] for theirs, ours in scales.items() if theirs in inference}
    return fields, state


def _onnx_names(state: State) -> State:
    """The tensors of an exported voice. The export has folded weight norms, and exp(-logs) into one constant.

    In voices of one speaker the text embedding is called ``sid``, after an input that they do not have.
    """
    if "sid" in state:
        state["enc_p.emb.weight"] = state.pop("sid")
    if "/dp/flows.0/Exp_output_0" in state:
        state["dp.flows.0.logs"] = -torch.log(state.pop("/dp/flows.0/Exp_output_0")).reshape(2, 1)
    parts = ("enc_p.", "enc_q.", "flow.", "dp.", "dec.", "emb_g.")
    return {name: value for name, value in state.items() if name.startswith(parts)}


def _piper_decoder(state: Mapping[str, Any]) -> dict[str, Any]:
    """Piper has two decoders: medium and lower (residual block 2, 256 channels), and high (block 1, 512 channels)."""
    if "dec.resblocks.0.convs1.0.bias" in state:
        return {}  # the defaults
    return {
        "channels": 256, "upsample_rates": (8, 8, 4), "upsample_kernels": (16, 16, 8), "resblock": "2",
        "resblock_kernels": (3, 5, 7), "resblock_dilations": ((1, 2), (2, 6), (3, 12)),
    }  # fmt: skip


def _piper_frontend(config: Mapping[str, Any]) -> dict[str, Any]:
    """The symbol table of a voice's JSON. Each symbol has one id; the ids count from 0."""
    table = config.get("phoneme_id_map")
    if not isinstance(table, Mapping):
        raise WeightsError("the voice's JSON has no phoneme_id_map", hint="give the JSON that came with the voice")
    by_id = {int(ids[0]): symbol for symbol, ids in table.items()}
    if sorted(by_id) != list(range(len(table))):
        raise WeightsError(
            "the voice's phoneme_id_map does not number its symbols from 0 without gaps",
            hint="give the JSON that came with the voice",
        )
    symbols = [by_id[index] for index in range(len(by_id))]
    marks = {"blank": "_", "begin": "^", "end": "$", "blank_ends": False}
    if config.get("phoneme_type") == "text":
        return {"name": "characters", "symbols": symbols, **marks}
    return {"name": "espeak", "language": config.get("espeak", {}).get("voice", "en-us"), "symbols": symbols, **marks}


def _transformers(state: State, config: Mapping[str, Any]) -> tuple[dict[str, Any], State]:
    """``VitsModel``. Its decoder has no weight norms; where a checkpoint stores them, they are folded here."""
    _require(config, "upsample_rates", "upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes")
    for name, fixed in _TRANSFORMERS_FIXED.items():
        if config.get(name, fixed) != fixed:
            raise WeightsError(
                f"the publisher's config has {name} {config[name]}; our VITS has {fixed} only",
                hint="amphion list --pretrained shows weights that load",
            )
    state = to_folded(_bare(state))
    named: State = {}
    for name, value in state.items():
        ours = _rename_transformers(name)
        if ours.startswith("enc_p.encoder.attn_layers") and ours.endswith("weight"):
            value = value[..., None]  # a linear layer there, a convolution of width 1 here
        named[ours] = value
    get = config.get
    fields = {
        "mel": _mel({"sampling_rate": get("sampling_rate", 16000), "hop_length": _product(config["upsample_rates"])})
        | {"n_fft": 2 * (get("spectrogram_bins", 513) - 1), "win_length": 2 * (get("spectrogram_bins", 513) - 1)},
        "n_speakers": max(1, get("num_speakers", 1)),
        "speaker_channels": get("speaker_embedding_size") or 256,
        "latent_channels": get("flow_size", 192), "hidden_channels": get("hidden_size", 192),
        "filter_channels": get("ffn_dim", 768), "n_heads": get("num_attention_heads", 2),
        "n_layers": get("num_hidden_layers", 6), "kernel": get("ffn_kernel_size", 3), "window": get("window_size", 4),
        "stochastic_duration": get("use_stochastic_duration_prediction", True),
        "duration_width": get("duration_predictor_filter_channels", 256),
        "channels": get("upsample_initial_channel", 512), "upsample_rates": tuple(config["upsample_rates"]),
        "upsample_kernels": tuple(config["upsample_kernel_sizes"]), "resblock": "1",
        "resblock_kernels": tuple(config["resblock_kernel_sizes"]),
        "resblock_dilations": tuple(map(tuple, config["resblock_dilation_sizes"])),
        "noise_scale": get("noise_scale", 0.667), "duration_noise_scale": get("noise_scale_duration", 0.8),
        "length_scale": 1 / get("speaking_rate", 1.0),
    }  # fmt: skip
    if (
        "frontend" in config
    ):  # transformers keeps the symbol table in the tokenizer's files, so the caller must state it
        fields["frontend"] = config["frontend"]
    return fields, named


_TRANSFORMERS_FIXED = {  # values that the shapes of the tensors do not show
    "leaky_relu_slope": HiFiGANGenerator.slope, "hidden_act": "relu", "layer_norm_eps": 1e-5,
    "wavenet_dilation_rate": 1, "duration_predictor_flow_bins": 10, "duration_predictor_tail_bound": 5.0,
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


def _coqui(state: State, config: Mapping[str, Any]) -> tuple[dict[str, Any], State]:
    """Coqui's lists of flows do not count the channel swaps between them, so their indices are doubled here."""
    parts = {
        "text_encoder.": "enc_p.", "posterior_encoder.": "enc_q.", "flow.": "flow.", "duration_predictor.": "dp.",
        "waveform_decoder.": "dec.", "emb_g.": "emb_g.",
    }  # fmt: skip
    named: State = {}
    for name, value in _bare(state).items():
        head = next((part for part in parts if name.startswith(part)), None)
        if head is None:  # a tensor of the discriminator, or a language embedding
            if name.startswith("emb_l."):
                raise WeightsError(
                    "this Coqui voice has language embeddings, which our VITS does not have",
                    hint="use a voice of one language: amphion list --pretrained",
                )
            continue
        name = parts[head] + name.removeprefix(head)
        name = re.sub(r"^flow\.flows\.(\d+)\.", lambda match: f"flow.flows.{2 * int(match[1])}.", name)
        name = re.sub(r"^dp\.(post_)?flows\.([1-9]\d*)\.", lambda m: f"dp.{m[1] or ''}flows.{2 * int(m[2]) - 1}.", name)
        name = name.replace(".translation", ".m").replace(".log_scale", ".logs").replace("dec.cond_layer.", "dec.cond.")
        named[name] = value
    given = flatten(config, keep=("frontend",))
    renamed = {
        "upsample_rates_decoder": "upsample_rates", "upsample_kernel_sizes_decoder": "upsample_kernel_sizes",
        "upsample_initial_channel_decoder": "upsample_initial_channel", "resblock_type_decoder": "resblock",
        "resblock_kernel_sizes_decoder": "resblock_kernel_sizes", "num_heads_text_encoder": "n_heads",
        "resblock_dilation_sizes_decoder": "resblock_dilation_sizes", "sample_rate": "sampling_rate",
        "use_sdp": "use_sdp", "inference_noise_scale": "noise_scale", "inference_noise_scale_dp": "noise_scale_w",
    }  # fmt: skip
    official = {renamed.get(key, key): value for key, value in given.items()}
    return _official_fields(official, named), named


def _official_fields(given: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Our fields from the authors' config, flattened. Widths are read from the shapes of the tensors."""
    sizes = ("upsample_kernel_sizes", "resblock_kernel_sizes", "resblock_dilation_sizes")
    _require(given, "upsample_rates", *sizes, "resblock")
    embedding = state.get("emb_g.weight")
    heads = {"n_heads": given["n_heads"]} if "n_heads" in given else {}
    frontend = {"frontend": given["frontend"]} if "frontend" in given else {}
    scales = {"noise_scale": "noise_scale", "noise_scale_w": "duration_noise_scale", "length_scale": "length_scale"}
    return {
        "mel": _mel({"hop_length": _product(given["upsample_rates"]), **given}, state),
        "n_speakers": 1 if embedding is None else len(embedding),
        "stochastic_duration": "dp.flows.0.m" in state,
        "posterior": any(name.startswith("enc_q.") for name in state),
        "upsample_rates": tuple(given["upsample_rates"]),
        "upsample_kernels": tuple(given["upsample_kernel_sizes"]),
        "resblock": str(given["resblock"]),
        "resblock_kernels": tuple(given["resblock_kernel_sizes"]),
        "resblock_dilations": tuple(map(tuple, given["resblock_dilation_sizes"])),
        **_widths(state), **heads, **frontend,
        **{ours: given[theirs] for theirs, ours in scales.items() if theirs in given},
    }  # fmt: skip


def _widths(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that state channel counts, read from the shapes of the tensors."""

    def shape(name: str) -> tuple[int, ...]:
        return tuple(state[name].shape) if name in state else ()

    fields: dict[str, Any] = {}
    if table := shape("enc_p.emb.weight"):
        fields["hidden_channels"] = table[1]
    if feed := shape("enc_p.encoder.ffn_layers.0.conv_1.weight"):
        fields |= {"filter_channels": feed[0], "kernel": feed[2]}
    if relative := shape("enc_p.encoder.attn_layers.0.emb_rel_k"):
        fields |= {"window": relative[1] // 2, "n_heads": fields["hidden_channels"] // relative[2]}
    if projection := shape("enc_p.proj.weight"):
        fields["latent_channels"] = projection[0] // 2
    if first := shape("dec.conv_pre.weight"):
        fields["channels"] = first[0]
    if speakers := shape("emb_g.weight"):
        fields["speaker_channels"] = speakers[1]
    if width := shape("dp.conv_1.weight"):
        fields["duration_width"] = width[0]
    layers = {name.split(".")[3] for name in state if name.startswith("enc_p.encoder.attn_layers.")}
    return {**fields, "n_layers": len(layers)} if layers else fields


def _mel(given: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> dict[str, Any]:
    names = {
        "sampling_rate": "sample_rate", "filter_length": "n_fft", "hop_length": "hop_length",
        "win_length": "win_length", "n_mel_channels": "n_mels", "mel_fmin": "fmin", "mel_fmax": "fmax",
        "sample_rate": "sample_rate", "n_fft": "n_fft", "hop_size": "hop_length", "win_size": "win_length",
        "n_mel": "n_mels", "fmin": "fmin", "fmax": "fmax",  # Amphion
        "fft_size": "n_fft", "num_mels": "n_mels",  # Coqui
    }  # fmt: skip
    fields = {ours: given[theirs] for theirs, ours in names.items() if theirs in given}
    bins = (state or {}).get("enc_q.pre.weight")
    if "n_fft" not in fields and bins is not None:
        fields["n_fft"] = fields["win_length"] = 2 * (bins.shape[1] - 1)
    return MelConfig.preset("vits_22k_80").model_dump() | fields


def _bare(state: Mapping[str, Any]) -> State:
    return strip_prefix(unwrap(state, "model", "state_dict", "generator"), "module.")


def _require(config: Mapping[str, Any], *names: str) -> None:
    if missing := [name for name in names if name not in config]:
        raise WeightsError(
            f"the publisher's config does not state {', '.join(missing)}",
            hint="give its own config: amphion convert --config FILE",
        )


def _product(rates: Any) -> int:
    return int(torch.tensor(list(rates)).prod())


_READERS: dict[str, Callable[[State, Mapping[str, Any]], tuple[dict[str, Any], State]]] = {
    "jaywalnut310": _official,
    "amphion": _amphion,
    "piper": _piper,
    "transformers": _transformers,
    "coqui": _coqui,
}
