"""Names of HuBERT's tensors: those of fairseq's checkpoints, as the authors publish them, to those of transformers."""

import re
from collections.abc import Mapping
from typing import Any

_RENAMES: tuple[tuple[str, str], ...] = (  # the first that fits a name is applied
    (r"mask_emb", "masked_spec_embed"),
    (r"layer_norm\.(weight|bias)", r"feature_projection.layer_norm.\1"),
    (r"post_extract_proj\.(.*)", r"feature_projection.projection.\1"),
    (r"encoder\.pos_conv\.0\.(.*)", r"encoder.pos_conv_embed.conv.\1"),
    (r"encoder\.layers\.(\d+)\.self_attn\.(.*)", r"encoder.layers.\1.attention.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.(.*)", r"encoder.layers.\1.layer_norm.\2"),
    (r"encoder\.layers\.(\d+)\.fc1\.(.*)", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"encoder\.layers\.(\d+)\.fc2\.(.*)", r"encoder.layers.\1.feed_forward.output_dense.\2"),
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.(.*)", r"feature_extractor.conv_layers.\1.conv.\2"),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.1\.(.*)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.(weight|bias)", r"feature_extractor.conv_layers.\1.layer_norm.\2"),
)
_PRETRAINING = ("label_embs_concat",)  # tensors that no feature uses


def is_fairseq(state: Mapping[str, Any]) -> bool:
    """Whether the names are those of fairseq."""
    return "post_extract_proj.weight" in state


def from_fairseq(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict of fairseq's HubertModel with the names of transformers' HubertModel.

    The tensors keep their values: also the weight norm of the positional convolution, which is over dimension 2.
    """
    return {_renamed(key): value for key, value in state.items() if key not in _PRETRAINING}


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return name
