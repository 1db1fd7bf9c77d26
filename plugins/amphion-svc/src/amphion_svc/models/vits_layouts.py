"""Published VitsSVC checkpoints (layout "amphion"): their tensor names and their config converted to ours.

A checkpoint is one network, or a training's file with it as "generator". Its config is ``args.json``; the file
``singers`` (``singers.json``) has the numbers of the singers. Sizes are read from the tensors. The decoder is read as
the vocoder that it is. An NSF-HiFiGAN has no source then, because the published code never added it.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core import registry
from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError
from amphion_svc.models.condition_layout import given_values, read_condition, read_mel

CONDITION, DECODER = "condition_encoder.", "dec."
RENAMED = {"enc_p.enc_.": "enc_p.encoder."}
UNUSED = ("enc_p.f0_emb.",)  # stored, and read by nothing
GENERATORS = {
    "nsfhifigan": "vocoder/nsf_hifigan", "hifigan": "vocoder/hifigan", "bigvgan": "vocoder/bigvgan",
    "apnet": "vocoder/apnet",
}  # fmt: skip


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint and its publisher's config. Raises WeightsError."""
    named = strip_prefix(unwrap(state, "generator", "model", "state_dict"), "module.")
    given = given_values(config)
    fields, tensors = read_condition(_part(named, CONDITION), given)
    fields |= _sizes(named)
    about = given.section("preprocess")
    fields |= read_mel(given, about.whole("n_mel", 100))
    bins = _shape(named, "enc_q.pre.weight", 3)[1]
    if (n_fft := fields["mel"]["n_fft"]) != 2 * (bins - 1):
        raise about.problem("n_fft", f"is {n_fft}; in the checkpoint it is {2 * (bins - 1)}")
    if (count := _shape(named, "emb_g.weight", 2)[0]) != fields["n_speakers"]:
        raise WeightsError(f"emb_g has {count} singers, and the condition encoder has {fields['n_speakers']}")
    if "segment_size" in about:
        fields["segment"] = max(1, about.whole("segment_size") // fields["mel"]["hop_length"])
    fields["decoder"], decoder = _decoder(_part(named, DECODER), given, fields["latent_channels"])
    for name, value in named.items():
        if not name.startswith((CONDITION, DECODER, *UNUSED)):
            head = next((head for head in RENAMED if name.startswith(head)), "")
            tensors[RENAMED.get(head, "") + name.removeprefix(head)] = value
    return fields, tensors | {f"{DECODER}{name}": value for name, value in decoder.items()}


def _decoder(state: Mapping[str, Any], given: Values, latent: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The field ``decoder`` and the decoder's tensors, as the vocoder of that name reads them."""
    network = given.section("model")
    kind = network.text("generator")
    if kind not in GENERATORS:
        raise network.problem("generator", f"is {kind}; one of {', '.join(GENERATORS)} can be read")
    own = network.section("generator_config").section(kind)
    stated = {name: own.get(name) for name in own}
    about = given.section("preprocess")
    mel = {name: about.get(name) for name in about} | {"n_mel": latent}
    found, tensors = registry.get("models", GENERATORS[kind]).import_state_dict(
        state, layout="amphion", config={"preprocess": mel, "model": stated}
    )
    return {"name": GENERATORS[kind], **found.model_dump(mode="json", exclude={"mel"})}, tensors


def _sizes(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that names and shapes of the tensors show."""
    attention, feed = "enc_p.enc_.attn_layers.", "enc_p.enc_.ffn_layers.0.conv_1.weight"
    width, channels, _ = _shape(state, feed, 3)
    return {
        "latent_channels": _shape(state, "enc_q.proj.weight", 3)[0] // 2,
        "hidden_channels": _shape(state, "enc_q.pre.weight", 3)[0],
        "speaker_channels": _shape(state, "emb_g.weight", 2)[1],
        "filter_channels": width,
        "n_heads": max(1, channels // _shape(state, f"{attention}0.emb_rel_k", 3)[2]),
        "n_layers": len({name.split(".")[3] for name in state if name.startswith(attention)}),
    }  # fmt: skip


def _part(state: Mapping[str, Any], head: str) -> dict[str, Any]:
    return {name.removeprefix(head): value for name, value in state.items() if name.startswith(head)}


def _shape(state: Mapping[str, Any], name: str, dims: int) -> tuple[int, ...]:
    """The shape of a tensor. Raises WeightsError unless it has so many axes: the checkpoint is of another model."""
    found = tuple(getattr(state.get(name), "shape", ()))
    if len(found) != dims or not all(found):
        head = ", ".join(map(str, list(state)[:3])) or "nothing"
        raise WeightsError(
            f"not a checkpoint of VitsSVC: it has no {name} with {dims} axes, and begins with {head}",
            hint="choose the model and the layout that the file belongs to: amphion list models 'svc/*'",
        )
    return found
