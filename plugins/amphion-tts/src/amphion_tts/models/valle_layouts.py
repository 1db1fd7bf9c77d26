"""The published checkpoint of the paper's VALL-E, ``amphion/valle``: its tensors under our names.

It has two files with the same names: ``valle_ar_*.bin`` is the checkpoint, and ``valle_nar_*.bin`` its further file
``nar``. Sizes come from the tensors, and ``num_attention_heads`` from a config, which may also have ``frontend`` and
``codec``, fields of ours.
Names of the NAR model are partly inferred, so its tables of codes are found by any name with their number.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.errors import WeightsError

SPECIAL = 10  # rows after codes and phones
HEAD_CHANNELS = 64
OWN = ("frontend", "codec")  # fields of ours that a config may have


def read(state: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of the two networks. Raises WeightsError where one is missing."""
    if not isinstance(second := config.get("nar"), Mapping):
        raise WeightsError(
            "the checkpoint is the AR model; the file of the NAR model is needed too",
            hint="amphion convert tts/valle valle_ar_*.bin --layout amphion --file nar=valle_nar_*.bin -o FOLDER",
        )
    tensors: dict[str, Tensor] = {}
    for stage, mine in (("ar", state), ("nar", second)):
        tensors |= {f"{stage}.{our_name(name)}": value for name, value in mine.items() if "rotary_emb" not in name}
    try:
        rows, channels = tensors["ar.embed_tokens.weight"].shape
        width = len(tensors["ar.decoder.layers.0.mlp.gate_proj.weight"])
        phones = len(tensors["nar.phone_embedder.weight"]) - SPECIAL
        tables = len(tensors["nar.prompt_embedder.0.weight"])
    except (KeyError, ValueError) as error:
        head = ", ".join(str(name) for name in list(state)[:3])
        raise WeightsError(
            f"these are not the AR and the NAR model of amphion/valle: the names begin with {head}",
            hint="give valle_ar_*.bin as the checkpoint and valle_nar_*.bin as --file nar=...",
        ) from error
    given = {**config, **(config["model"] if isinstance(config.get("model"), Mapping) else {})}
    fields: dict[str, Any] = {
        "vocabulary": phones, "codebook_size": rows - SPECIAL - phones, "channels": channels, "width": width,
        "n_layers": _count(tensors, r"ar\.decoder\.layers\.(\d+)\."),
        "n_codebooks": _count(tensors, r"nar\.prompt_embedder\.(\d+)\."),
        "n_heads": given.get("num_attention_heads", max(1, channels // HEAD_CHANNELS)),
        "norm_eps": given.get("rms_norm_eps", 1e-6),
        "adaptive_end": "nar.decoder.norm.to_weight.weight" in tensors, "code_rows": tables,
    }  # fmt: skip
    return fields | {name: given[name] for name in OWN if name in given}, tensors


def our_name(name: str) -> str:
    """``model.model.layers.0.mlp.up_proj.weight`` -> ``decoder.layers.0.mlp.up_proj.weight``."""
    name = re.sub(r"^(model\.)+", "", name)
    name = re.sub(r"^prompt_embedder\..*?(\d+)\.weight$", r"prompt_embedder.\1.weight", name)
    return f"decoder.{name}" if name.startswith(("layers.", "norm.")) else name


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in tensors if (found := re.match(pattern, name))), default=0)
