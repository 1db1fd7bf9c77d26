"""Published checkpoints of VALL-E's first release: their tensors under our names.

Both layouts have the same names. "lifeiteng" wraps the tensors as ``{"model": ...}``. Sizes are read from the tensors.
What they do not show is read from a config: ``nhead``, ``prefix_mode``, and ours: ``frontend``, ``codec``.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.checkpoints.weight_names import strip_prefix, unwrap
from amphion_core.errors import WeightsError

PREFIXES = {0: "none", 1: "start"}
HEAD_CHANNELS = 64  # of the published models: 1024 channels, 16 heads
OWN = ("frontend", "codec")  # fields of ours that a config may have


def read(state: Mapping[str, Any], layout: str, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(fields of Config, state dict) of a checkpoint. Raises WeightsError for another network."""
    named: dict[str, Tensor] = strip_prefix(unwrap(state, "model", "state_dict"), "module.")
    tensors = {_name(name): tensor for name, tensor in named.items()}
    try:
        text, audio = tensors["ar.text_embedding.weight"], tensors["ar.audio_embedding.weight"]
        size, channels = tensors["ar.predict_layer.weight"].shape
    except (KeyError, ValueError) as error:
        head = ", ".join(str(name) for name in list(state)[:3])
        raise WeightsError(
            f"this is no VALL-E checkpoint of the layout {layout!r}: it begins with {head}", hint="check --layout"
        ) from error
    books = _count(tensors, r"nar\.audio_embeddings\.(\d+)\.")
    fields: dict[str, Any] = {
        "vocabulary": len(text), "n_codebooks": books, "codebook_size": size - 1, "channels": channels,
        "begin": len(audio) == size + 1, "n_layers": _count(tensors, r"ar\.decoder\.layers\.(\d+)\."),
    }  # fmt: skip
    given = {**config, **(config["model"] if isinstance(config.get("model"), Mapping) else {})}
    fields["n_heads"] = given.get("nhead", max(1, channels // HEAD_CHANNELS))
    mode = given.get("prefix_mode", 1)
    if mode not in PREFIXES:
        raise WeightsError(
            f"prefix_mode {mode}: only 0 and 1 are supported", hint="use weights of mode 1, as published"
        )
    fields["prefix"] = PREFIXES[mode]
    _untie(tensors, books)
    return fields | {name: given[name] for name in OWN if name in given}, tensors


def _name(name: str) -> str:
    """``ar_text_embedding.word_embeddings.weight`` -> ``ar.text_embedding.weight``."""
    return re.sub(r"^(n?ar)_", r"\1.", name).replace(".word_embeddings", "")


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in tensors if (found := re.match(pattern, name))), default=0)


def _untie(tensors: dict[str, Tensor], books: int) -> None:
    """Keep one of each pair of tied tensors, and the last prediction layer. Raises WeightsError where they differ."""
    for index in range(books - 1):
        mine = tensors.pop(f"nar.predict_layers.{index}.weight", None)
        if index == books - 2:
            if mine is not None:
                tensors["nar.predict_layer.weight"] = mine
        elif mine is not None:
            table = tensors.get(f"nar.audio_embeddings.{index + 2}.weight")
            if table is None or table.shape != mine.shape or not (mine.is_meta or torch.equal(mine, table)):
                raise WeightsError(
                    f"nar_predict_layers.{index} and nar_audio_embeddings.{index + 2} differ, and they should be tied",
                    hint="train with share_embedding, as the published models were",
                )
