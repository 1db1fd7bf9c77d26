"""Published FACodec checkpoints: their tensor names and sizes converted to ours.

"amphion": ns3_facodec_encoder.bin as the checkpoint, with ``decoder``: ns3_facodec_decoder.bin, and, if wanted,
``redecoder``: ns3_facodec_redecoder.bin among the files by name; the second version has the same keys. On the command
line: ``amphion convert codec/facodec ENCODER --file decoder=DECODER --file redecoder=REDECODER -o FOLDER``. The state
dict may also hold all of them, as {"encoder": ..., "decoder": ..., "redecoder": ...}.
All sizes follow from the shapes. Stored lowpass filters are compared with ours, and position tables are reduced to row
0, the only one that these weights use.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.checkpoints.weight_names import strip_prefix
from amphion_core.errors import WeightsError
from amphion_vocoders.models.bigvgan_layouts import FILTERS, compare_filters

HEADS = {
    "f0_predictor.": "f0", "phone_predictor.": "phone", "res_f0_predictor.1.": "residual_f0",
    "res_phone_predictor.1.": "residual_phone", "x_timbre_predictor.1.": "sum_speaker",
    "content_f0_predictor.1.": "content_f0", "prosody_phone_predictor.1.": "prosody_phone",
}  # fmt: skip
_DECODER = {"model.": "decoder.", "timbre_linear.": "timbre.linear."}
_REDECODER = {"model.": "redecoder.model.", "timbre_linear.": "redecoder.timbre.linear."}
_HINT = "give the other file: amphion convert codec/facodec ENCODER --file decoder=DECODER -o FOLDER"


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of published files. Raises WeightsError where one is missing or another."""
    files = {name: config[name] for name in ("decoder", "redecoder") if isinstance(config.get(name), Mapping)}
    files = {"encoder": state} | files if "decoder" not in state else dict(state)
    if not isinstance(files.get("decoder"), Mapping):
        raise WeightsError("FACodec is published as an encoder and a decoder; the decoder is missing", hint=_HINT)
    parts = {name: _plain(strip_prefix(part, "module.")) for name, part in files.items()}
    encoder, decoder, redecoder = (parts.get(name, {}) for name in ("encoder", "decoder", "redecoder"))
    if "block.0.bias" not in encoder or "quantizer.0.layers.0.in_proj.bias" not in decoder:
        raise WeightsError("these are not the encoder and the decoder of FACodec", hint=_HINT)
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    found = []
    for name, tensor in decoder.items():
        head = next((key for key in HEADS if name.startswith(key)), "")
        if head:
            found.append(HEADS[head])
            tensors[f"heads.{HEADS[head]}.{name.removeprefix(head)}"] = tensor
        else:
            tensors[_renamed(name, _DECODER).replace("._codebook.", ".codebook.")] = tensor
    for name, tensor in redecoder.items():
        new = _renamed(name, _REDECODER)
        tensors[new if new != name else f"redecoder.{name}"] = tensor
    return _fields(encoder, decoder, redecoder) | {"predictors": tuple(dict.fromkeys(found))}, tensors


def _fields(
    encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor], redecoder: Mapping[str, Tensor]
) -> dict[str, Any]:
    books = [sum(f"quantizer.{part}.layers.{k}.in_proj.bias" in decoder for k in range(64)) for part in range(3)]
    strides = [
        tensor.shape[2] // 2
        for stage in range(1, 64)
        if (tensor := _weight(encoder, f"block.{stage}.block.4")) is not None
    ]
    size, code_dim = decoder["quantizer.0.layers.0._codebook.weight"].shape
    layers = sum(f"timbre_encoder.layers.{n}.ln_1.bias" in decoder for n in range(256))
    ffn = decoder["timbre_encoder.layers.0.ffn.ffn_1.weight"].shape
    fields: dict[str, Any] = {
        "channels": len(encoder["block.0.bias"]), "strides": strides, "dim": ffn[1],
        "decoder_channels": len(decoder["model.0.bias"]), "prosody_books": books[0], "content_books": books[1],
        "residual_books": books[2], "book_size": size, "code_dim": code_dim, "layers": layers,
        "inner_channels": ffn[0], "kernel": ffn[2], "positions": "batch_index",
        "mel_prosody": "melspec_linear.weight" in decoder,
    }  # fmt: skip
    if "melspec_linear.weight" in decoder:
        fields["prosody_bands"] = decoder["melspec_linear.weight"].shape[1]
    if redecoder:
        fields["redecoder_channels"] = len(redecoder["model.0.bias"])
    for count, head in (
        ("n_phones", "phone_predictor.heads.0.bias"),
        ("n_speakers", "x_timbre_predictor.1.heads.0.bias"),
    ):
        if head in decoder:
            fields[count] = len(decoder[head])
    return fields


def _plain(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors without filters, which are compared with ours; of position tables row 0 alone."""
    compare_filters({name: tensor for name, tensor in state.items() if name.endswith(FILTERS)})
    tensors = {}
    for name, tensor in state.items():
        if name.endswith(".position_emb.pe"):
            tensors[name.removesuffix("position_emb.pe") + "position"] = tensor[0, 0]
        elif not name.endswith(FILTERS) and not name.startswith("mel_transform."):
            tensors[name] = tensor
    return tensors


def _weight(state: Mapping[str, Tensor], layer: str) -> Tensor | None:
    """The weight of a convolution, or its direction, which has the same shape."""
    names = (f"{layer}.weight_v", f"{layer}.weight", f"{layer}.parametrizations.weight.original1")
    return next((state[name] for name in names if name in state), None)


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
