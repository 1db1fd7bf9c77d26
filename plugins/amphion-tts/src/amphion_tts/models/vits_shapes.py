"""What the tensors of a VITS checkpoint show of its configuration, under the authors' names."""

from collections.abc import Mapping
from typing import Any

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig

SHORTEST = 1e-3  # scale of durations: a voice a thousand times as fast is a mistake
LARGEST_SCALE = 100.0  # of noise as in the fields of VITS.Config; a published scale above it is a mistake


def shape(state: Mapping[str, Any], name: str, dims: int) -> tuple[int, ...]:
    """The shape of a tensor; empty if there is no tensor of that name with so many dimensions."""
    found = tuple(getattr(state.get(name), "shape", ()))
    return found if len(found) == dims and all(found) else ()


def vocabulary(state: Mapping[str, Any], layout: str) -> int:
    """Rows of the text embedding. Raises WeightsError if there is none: the checkpoint belongs to another model."""
    if table := shape(state, "enc_p.emb.weight", 2):
        return table[0]
    head = ", ".join(str(name) for name in list(state)[:3]) or "nothing"
    raise WeightsError(
        f"this is no VITS checkpoint of the layout {layout!r}: it begins with {head}", hint="check --layout"
    )


def fields_of_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``VITS.Config`` that names and shapes of the tensors show."""
    fields: dict[str, Any] = {
        "n_speakers": (shape(state, "emb_g.weight", 2) or (1,))[0],
        "stochastic_duration": "dp.flows.0.m" in state,
        "posterior": any(name.startswith("enc_q.") for name in state),
    }
    if table := shape(state, "enc_p.emb.weight", 2):
        fields["hidden_channels"] = table[1]
    if feed := shape(state, "enc_p.encoder.ffn_layers.0.conv_1.weight", 3):
        fields |= {"filter_channels": feed[0], "kernel": feed[2]}
    if table and (relative := shape(state, "enc_p.encoder.attn_layers.0.emb_rel_k", 3)):
        fields |= {"window": max(1, relative[1] // 2), "n_heads": max(1, table[1] // relative[2])}
    if projection := shape(state, "enc_p.proj.weight", 3):
        fields["latent_channels"] = projection[0] // 2
    if first := shape(state, "dec.conv_pre.weight", 3):
        fields["channels"] = first[0]
    if speakers := shape(state, "emb_g.weight", 2):
        fields["speaker_channels"] = speakers[1]
    if width := shape(state, "dp.conv_1.weight", 3):
        fields["duration_width"] = width[0]
    width = shape(state, "dp.pre.weight", 3)
    if width and width[0] != width[1]:
        fields["stochastic_width"] = width[0]
    layers = {name.split(".")[3] for name in state if name.startswith("enc_p.encoder.attn_layers.")}
    return {**fields, "n_layers": len(layers)} if layers else fields


def check_sizes(given: Values, names: Mapping[str, str], fields: Mapping[str, Any]) -> None:
    """Raise WeightsError where the publisher states another size than the tensors show.

    ``names`` are the publisher's keys with our fields. A wrong number of layers or channels is found here, before a
    network of that size is built.
    """
    for theirs, ours in names.items():
        if ours in fields and (stated := given.whole(theirs, fields[ours])) != fields[ours]:
            raise given.problem(theirs, f"is {stated}; in the checkpoint it is {fields[ours]}")


def scales(given: Values, names: Mapping[str, str]) -> dict[str, float]:
    """The scales of durations and noise that the publisher calls by the keys of ``names``."""
    return {
        ours: given.number(theirs, least=SHORTEST if ours == "length_scale" else 0, most=LARGEST_SCALE)
        for theirs, ours in names.items()
        if theirs in given
    }


def mel_fields(given: Values, names: Mapping[str, str], state: Mapping[str, Any], hop_length: int) -> dict[str, Any]:
    """The mel convention: the fields that the publisher calls by the keys of ``names``, the others as in VITS.

    The length of the FFT is that of the posterior encoder's input if the publisher does not state it.
    """
    fields: dict[str, Any] = {"hop_length": hop_length}
    if bins := shape(state, "enc_q.pre.weight", 3):
        fields |= dict.fromkeys(("n_fft", "win_length"), max(2, 2 * (bins[1] - 1)))
    for theirs, ours in names.items():
        if ours == "fmax" and given.has(theirs):  # null is a value here: up to half the rate
            fields[ours] = given.number(theirs) if theirs in given else None
        elif theirs in given:
            fields[ours] = given.number(theirs) if ours == "fmin" else given.whole(theirs)
    return MelConfig.preset("vits_22k_80").model_dump() | fields
