"""The condition encoder in published checkpoints of SVC models (layout "amphion"), and what they all state.

A checkpoint is a list of two networks: names that begin with ``0.`` belong to the condition encoder, those with ``1.``
to the acoustic model. Beside it lie ``args.json``, the config, and ``singers.json``, the numbers of the singers. The
ranges of the mel's bands are files of the training data, ``mel_min.npy`` and ``mel_max.npy``, and must be given.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.publisher_values import Values
from amphion_core.checkpoints.weight_names import strip_prefix
from amphion_core.errors import WeightsError
from amphion_core.mel import MelConfig

HINT = "give the publisher's own config: amphion convert --config FILE"
RANGE_HINT = "amphion convert --file mel_min=FILE --file mel_max=FILE: mel_min.npy and mel_max.npy of the training data"
CONTENT = {  # theirs: our feature
    "whisper_encoder": "whisper_encoder", "contentvec_encoder": "contentvec", "wenet_encoder": "wenet",
}  # fmt: skip
UNKNOWN = {"mert_encoder": "MERT"}
OTHERS = {
    "melody_encoder.nn.weight": "melody.weight", "melody_encoder.uv_embedding.weight": "unvoiced.weight",
    "loudness_encoder.nn.weight": "loudness.weight", "singer_encoder.nn.weight": "speaker.weight",
}  # fmt: skip
EDGES = "loudness_encoder.energy_bins"
MEL = {
    "sample_rate": "sample_rate", "n_fft": "n_fft", "hop_size": "hop_length", "win_size": "win_length",
    "fmin": "fmin", "fmax": "fmax",
}  # fmt: skip


def given_values(config: Mapping[str, Any]) -> Values:
    """The publisher's config as values whose errors name the file."""
    return Values(config, file="the publisher's config", hint=HINT)


def split(state: Mapping[str, Any], what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors of the condition encoder and of the acoustic model. Raises WeightsError for another checkpoint."""
    named = strip_prefix(state, "module.")
    parts = tuple(
        {name.removeprefix(head): value for name, value in named.items() if name.startswith(head)}
        for head in ("0.", "1.")
    )
    if not all(parts) or len(parts[0]) + len(parts[1]) != len(named):
        head = ", ".join(list(named)[:3]) or "nothing"
        raise WeightsError(f"not a checkpoint of {what} in the layout amphion: it begins with {head}")
    return parts[0], parts[1]


def read_condition(state: Mapping[str, Any], given: Values) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The condition encoder's tensors as fields of `ConditionedConfig`, and the tensors under our names.

    Raises WeightsError for a content feature that is not installed here, and for tensors that are missing.
    """
    for theirs, what in UNKNOWN.items():
        if f"{theirs}.nn.weight" in state:
            raise WeightsError(f"the model reads content of {what}, for which there is no feature")
    found: dict[str, Tensor] = {}
    content = []
    for theirs, ours in CONTENT.items():
        if f"{theirs}.nn.weight" in state:
            content.append({"name": ours, "dim": _rows_and_columns(state, f"{theirs}.nn.weight")[1]})
            for kind in ("weight", "bias"):
                found[f"condition.content.{ours}.{kind}"] = state[f"{theirs}.nn.{kind}"]
    for theirs, ours in OTHERS.items():
        if theirs in state:
            found[f"condition.{ours}"] = state[theirs]
    singers, channels = _rows_and_columns(state, "singer_encoder.nn.weight")
    fields: dict[str, Any] = {
        "content": content, "condition_channels": channels, "melody": "coarse", "n_speakers": singers,
        "speakers": _names(given, singers), "loudness": EDGES in state, "f0": {"name": "f0_praat"},
    }  # fmt: skip
    if EDGES in state:
        edges = state[EDGES]
        fields["loudness_range"] = (float(edges[0]), float(edges[-1]))
    return fields, found


def read_mel(given: Values, n_mels: int) -> dict[str, Any]:
    """The mel convention of ``preprocess`` as the field ``mel``. Raises WeightsError for another number of bands."""
    about = given.section("preprocess")
    if about.whole("n_mel", n_mels) != n_mels:
        raise about.problem("n_mel", f"is {about.get('n_mel')}; in the checkpoint it is {n_mels}")
    stated: dict[str, Any] = {"n_mels": n_mels}
    for theirs, ours in MEL.items():
        if theirs in about:
            stated[ours] = about.number(theirs) if ours in ("fmin", "fmax") else about.whole(theirs)
    return {"mel": MelConfig.preset("amphion_24k_100").model_dump() | stated}


def read_range(given: Values, n_mels: int) -> dict[str, tuple[float, ...]]:
    """The ranges of the bands that the training data had. Raises WeightsError where they are not given."""
    found = {}
    for theirs, ours in (("mel_min", "mel_lowest"), ("mel_max", "mel_highest")):
        value = given.get(theirs)
        if isinstance(value, Mapping):  # a file of arrays
            value = next(iter(value.values()), None)
        if value is None:
            raise given.problem(
                theirs, "is missing: the checkpoint does not hold the range of its mels", hint=RANGE_HINT
            )
        values = torch.as_tensor(value).double().flatten().tolist()
        if len(values) != n_mels:
            raise given.problem(theirs, f"has {len(values)} values for {n_mels} bands", hint=RANGE_HINT)
        found[ours] = tuple(values)
    return found


def _names(given: Values, count: int) -> tuple[str, ...]:
    """The names of ``singers``, a mapping from name to number; a number without a name is its own name."""
    table = given.section("singers")
    named = {table.whole(name, least=0): name for name in table}
    if outside := [number for number in named if number >= count]:
        raise given.problem("singers", f"has the number {outside[0]}, and the checkpoint has {count} singers")
    return tuple(named.get(number, str(number)) for number in range(count)) if count > 1 else ()


def _rows_and_columns(state: Mapping[str, Any], name: str) -> tuple[int, int]:
    shape = tuple(getattr(state.get(name), "shape", ()))
    if len(shape) != 2 or not all(shape):
        raise WeightsError(f"the checkpoint has no matrix 0.{name}", hint="check --layout")
    return shape[0], shape[1]
