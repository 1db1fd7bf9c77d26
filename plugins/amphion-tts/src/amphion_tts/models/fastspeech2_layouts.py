"""Published FastSpeech 2 checkpoints: their tensors under our names, and their publishers' configs as ours.

Our tensor names are those of ming024's release, which Amphion's models share. Sizes are read from the tensors; a config
that states others is an error. The configs tell what the tensors do not show: attention heads, mel, levels, statistics.

* "ming024": a config with the sections of ``model.yaml``, and the files ``preprocess`` (``preprocess.yaml``),
  ``statistics`` (``stats.json``) and ``speakers`` (``speakers.json``). What is left out counts as in the published
  LJSpeech configuration.
* "amphion": the ``args.json`` of the experiment, and the files ``pitch_statistics``, ``energy_statistics`` (the
  ``statistics.json`` of the features used) and ``speakers`` (``spk2id.json``).

A config may also have ``frontend`` and ``mel``, which are ours and replace what the publisher's config says.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError, shown
from amphion_core.mel import MelConfig
from amphion_tts.frontends.amphion_symbols import AMPHION, MING024
from amphion_tts.models.fastspeech2_modules import positions
from amphion_tts.models.vits_shapes import check_sizes, shape
from amphion_tts.models.vits_speakers import speaker_names

HINT = "give the publisher's own config: amphion convert --config FILE"
NEAR = 1e-3  # difference of a stored position table from ours; float16 rounds by 2.4e-4
TABLES = {len(table) + 1: table for table in (AMPHION, MING024)}  # the published embeddings have one row too many
MING024_MEL = {
    "sampling_rate": "sample_rate", "filter_length": "n_fft", "hop_length": "hop_length", "win_length": "win_length",
    "mel_fmin": "fmin", "mel_fmax": "fmax",
}  # fmt: skip
AMPHION_MEL = {
    "sample_rate": "sample_rate", "n_fft": "n_fft", "hop_size": "hop_length", "win_size": "win_length",
    "fmin": "fmin", "fmax": "fmax",
}  # fmt: skip
LEVELS = {"phoneme_level": "token", "frame_level": "frame"}
PARTS = ("encoder", "decoder")


def read(state: Mapping[str, Any], layout: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    named = strip_prefix(unwrap(state, "model", "state_dict"), "module.")
    fields = _fields_of_tensors(named, layout)
    for name in (f"{part}.position_enc" for part in PARTS):
        if name in named:
            _check_positions(named.pop(name), name, fields["hidden_channels"])
    given = Values(config, file="the publisher's config", hint=HINT)
    _check_network(given.section("model") if layout == "amphion" else given, fields)
    fields |= _amphion(given, fields) if layout == "amphion" else _ming024(given, fields)
    fields["speakers"] = speaker_names([given], fields["n_speakers"])
    return fields | {name: given.get(name) for name in ("frontend", "mel") if name in given}, named


def _fields_of_tensors(state: Mapping[str, Any], layout: str) -> dict[str, Any]:
    """The fields of ``FastSpeech2.Config`` that names and shapes of the tensors show."""
    table, adaptor = shape(state, "encoder.src_word_emb.weight", 2), "variance_adaptor"
    first = shape(state, "encoder.layer_stack.0.pos_ffn.w_1.weight", 3)
    second = shape(state, "encoder.layer_stack.0.pos_ffn.w_2.weight", 3)
    predictor = shape(state, f"{adaptor}.duration_predictor.conv_layer.conv1d_1.conv.weight", 3)
    bins, out = shape(state, f"{adaptor}.pitch_embedding.weight", 2), shape(state, "mel_linear.weight", 2)
    if not (table and first and second and predictor and bins and out):
        head = ", ".join(str(name) for name in list(state)[:3]) or "nothing"
        raise WeightsError(
            f"this is no FastSpeech 2 checkpoint of the layout {layout!r}: it begins with {head}", hint="check --layout"
        )
    layers = {part: {name.split(".")[2] for name in state if name.startswith(f"{part}.layer_stack.")} for part in PARTS}
    return {
        "vocabulary": table[0], "hidden_channels": table[1], "filter_channels": first[0],
        "kernels": (first[2], second[2]), "predictor_channels": predictor[0], "predictor_kernel": predictor[2],
        "n_bins": bins[0], "n_mels": out[0], "encoder_layers": len(layers["encoder"]),
        "decoder_layers": len(layers["decoder"]), "n_speakers": (shape(state, "speaker_emb.weight", 2) or (1,))[0],
        "postnet_channels": (shape(state, "postnet.convolutions.0.0.conv.weight", 3) or (0,))[0],
        **{f"{name}_range": _range(state, f"{adaptor}.{name}_bins") for name in ("pitch", "energy")},
    }  # fmt: skip


def _range(state: Mapping[str, Any], name: str) -> tuple[float, float]:
    """The first and the last edge of the bins of pitch or energy."""
    edges = state.get(name)
    if not isinstance(edges, Tensor) or edges.dim() != 1 or len(edges) < 2:
        raise WeightsError(f"the checkpoint has no edges {name}", hint="give the publisher's file of weights")
    if not bool((edges.diff() > 0).all()):
        raise WeightsError(
            f"the edges {name} do not increase everywhere", hint="give another checkpoint of the publisher"
        )
    return float(edges[0]), float(edges[-1])


def _check_positions(table: Any, name: str, channels: int) -> None:
    """Raise WeightsError unless a stored table has the sines of our own, which replace it at any length."""
    wanted = (1, len(table[0]), channels) if isinstance(table, Tensor) and table.dim() == 3 else ()
    if not wanted or tuple(table.shape) != wanted:
        raise WeightsError(f"{name} is not a table (1, positions, {channels})", hint="check --layout")
    ours = positions(wanted[1], channels, torch.device("cpu"))
    if table.is_meta or not float((table[0].float() - ours).abs().max()) <= NEAR:  # also for values that are not finite
        raise WeightsError(
            f"{name} does not hold sines and cosines, so another network was trained",
            hint="only the published position tables are read",
        )


def _check_network(given: Values, fields: dict[str, Any]) -> None:
    """Add what the sections of the network state, and compare the sizes that they state with those of the tensors."""
    blocks, predictor = given.section("transformer"), given.section("variance_predictor")
    check_sizes(
        blocks,
        {
            "encoder_layer": "encoder_layers", "decoder_layer": "decoder_layers", "encoder_hidden": "hidden_channels",
            "decoder_hidden": "hidden_channels", "conv_filter_size": "filter_channels",
        },
        fields,
    )  # fmt: skip
    check_sizes(predictor, {"filter_size": "predictor_channels", "kernel_size": "predictor_kernel"}, fields)
    check_sizes(given.section("variance_embedding"), {"n_bins": "n_bins"}, fields)
    fields["n_heads"] = blocks.whole("encoder_head", 2)
    if blocks.whole("decoder_head", fields["n_heads"]) != fields["n_heads"]:
        raise blocks.problem("decoder_head", f"is not {fields['n_heads']}, the encoder's number of attention heads")
    fields["dropout"] = blocks.number("encoder_dropout", 0.2, most=0.99)
    fields["predictor_dropout"] = predictor.number("dropout", 0.5, most=0.99)


def _ming024(given: Values, fields: dict[str, Any]) -> dict[str, Any]:
    """The mel, the frontend, the levels and the statistics of ming024's files."""
    whole = given.section("preprocess") if "preprocess" in given else given
    if "preprocess" in given and "preprocessing" not in whole:
        raise given.problem("preprocess", "has no section preprocessing", hint="Amphion's args.json: --layout amphion")
    about = whole.section("preprocessing")
    bands = about.section("mel")
    check_sizes(bands, {"n_mel_channels": "n_mels"}, fields)
    found: dict[str, Any] = {
        "mel": _mel("tacotron2_22k_80", [about.section("audio"), about.section("stft"), bands], MING024_MEL, fields)
    }
    if about.section("text").text("language", "en") == "en" and fields["vocabulary"] in TABLES:
        found["frontend"] = {"name": "amphion_symbols", "symbols": TABLES[fields["vocabulary"]]}
    statistics = given.section("statistics")
    for name in ("pitch", "energy"):
        level = about.section(name).text("feature", "phoneme_level")
        if level not in LEVELS:
            raise about.section(name).wrong("feature", "phoneme_level or frame_level")
        found[f"{name}_level"] = LEVELS[level]
        if name in statistics:
            values = statistics.get(name)
            if not isinstance(values, list | tuple) or len(values) != 4:
                raise statistics.wrong(name, "a list of minimum, maximum, mean and standard deviation")
            found |= _statistics(name, Values({"mean": values[2], "std": values[3]}, file="statistics", hint=HINT))
    return found


def _amphion(given: Values, fields: dict[str, Any]) -> dict[str, Any]:
    """The mel, the frontend, the levels and the statistics of Amphion's args.json and tables."""
    given.require("preprocess")
    about = given.section("preprocess")
    check_sizes(about, {"n_mel": "n_mels"}, fields)
    preset = "tacotron2_22k_80" if about.text("mel_extract_mode", "") == "taco" else "hifigan_22k_80"
    found: dict[str, Any] = {"mel": _mel(preset, [about], AMPHION_MEL, fields)}
    if about.text("phone_extractor", "lexicon") == "lexicon" and fields["vocabulary"] in TABLES:
        found["frontend"] = {"name": "amphion_symbols", "symbols": TABLES[fields["vocabulary"]]}
    for name in ("pitch", "energy"):
        found[f"{name}_level"] = "frame" if about.flag(f"use_frame_{name}", False) else "token"
        corpora = given.section(f"{name}_statistics")
        if names := list(corpora):
            if len(names) > 1:
                raise given.problem(f"{name}_statistics", f"has {len(names)} corpora: {shown(names)}")
            found |= _statistics(name, corpora.section(names[0]).section("voiced_positions"))
    return found


def _mel(preset: str, sections: list[Values], names: Mapping[str, str], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a preset, with those that the publisher states under the keys of ``names``."""
    stated: dict[str, Any] = {"n_mels": fields.pop("n_mels")}
    for section in sections:
        for theirs, ours in names.items():
            if ours == "fmax" and section.has(theirs):  # null is a value here: up to half the rate
                stated[ours] = section.number(theirs) if theirs in section else None
            elif theirs in section:
                stated[ours] = section.number(theirs) if ours == "fmin" else section.whole(theirs)
    return MelConfig.preset(preset).model_dump() | stated


def _statistics(name: str, values: Values) -> dict[str, float]:
    """Mean and standard deviation of pitch in Hz or of energy."""
    return {
        f"{name}_mean": values.number("mean", least=-1e9, most=1e9),
        f"{name}_std": values.number("std", least=1e-9, most=1e9),
    }
