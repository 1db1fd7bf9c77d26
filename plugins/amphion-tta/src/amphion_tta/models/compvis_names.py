"""Names of tensors in checkpoints of the CompVis code of latent diffusion, as diffusers names them.

Rombach et al.: "High-Resolution Image Synthesis with Latent Diffusion Models", arXiv:2112.10752. AudioLDM's authors and
Amphion store their networks under these names. Only names change; a 1x1 convolution of an attention becomes a matrix.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

_INSIDE_UNET = {
    "in_layers.0.": "norm1.", "in_layers.2.": "conv1.", "emb_layers.1.": "time_emb_proj.",
    "out_layers.0.": "norm2.", "out_layers.3.": "conv2.", "skip_connection.": "conv_shortcut.",
}  # fmt: skip
_INSIDE_ATTENTION = {
    "norm.": "group_norm.", "q.": "to_q.", "k.": "to_k.", "v.": "to_v.", "proj_out.": "to_out.0.",
}  # fmt: skip


def count(names: Mapping[str, Any], pattern: str) -> int:
    """How many different numbers stand at the group of ``pattern`` in the names: levels, blocks.

    >>> count({"down.0.a": 1, "down.1.a": 1, "down.1.b": 1}, r"down.([0-9]+)")
    2
    """
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def autoencoder_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an AutoencoderKL of CompVis under the names of diffusers. Unknown names stay as they are."""
    levels = count(state, r"decoder\.up\.([0-9]+)\.")
    return {_autoencoder_name(name, levels): _matrix(name, tensor) for name, tensor in state.items()}


def _autoencoder_name(name: str, levels: int) -> str:
    name = name.replace(".nin_shortcut.", ".conv_shortcut.").replace(".norm_out.", ".conv_norm_out.")
    if found := re.match(r"(encoder|decoder)\.mid\.(block|attn)_([12])\.(.*)", name):
        half, kind, number, rest = found.groups()
        if kind == "block":
            return f"{half}.mid_block.resnets.{int(number) - 1}.{rest}"
        return f"{half}.mid_block.attentions.{int(number) - 1}.{_replaced(rest, _INSIDE_ATTENTION)}"
    if found := re.match(r"encoder\.down\.([0-9]+)\.(block\.|downsample\.)(.*)", name):
        level, kind, rest = found.groups()
        return f"encoder.down_blocks.{level}.{'resnets' if kind == 'block.' else 'downsamplers.0'}.{rest}"
    if found := re.match(r"decoder\.up\.([0-9]+)\.(block\.|upsample\.)(.*)", name):
        level, kind, rest = found.groups()  # CompVis counts the levels of both halves from the outside
        block = f"decoder.up_blocks.{levels - 1 - int(level)}"
        return f"{block}.{'resnets' if kind == 'block.' else 'upsamplers.0'}.{rest}"
    return name


def _matrix(name: str, tensor: Tensor) -> Tensor:
    """An attention's 1x1 convolution (C, C, 1, 1) as a matrix (C, C); other tensors as they are."""
    is_convolution = ".mid.attn_" in name and isinstance(tensor, Tensor) and tensor.dim() == 4
    return tensor[:, :, 0, 0] if is_convolution else tensor


def unet_names(state: Mapping[str, Tensor], *, blocks: int) -> dict[str, Tensor]:
    """The tensors of a UNet of CompVis, with ``blocks`` residual blocks in each level, under the names of diffusers.

    Unknown names stay as they are.
    """
    table = _unet_blocks(state, blocks)
    return {_unet_name(name, table): tensor for name, tensor in state.items()}


def _unet_blocks(state: Mapping[str, Any], blocks: int) -> dict[str, str]:
    """Beginnings of names of CompVis, which counts all blocks of a half in one row, and those of diffusers."""
    table = {
        "time_embed.0.": "time_embedding.linear_1.", "time_embed.2.": "time_embedding.linear_2.",
        "film_emb.": "class_embedding.", "input_blocks.0.0.": "conv_in.", "out.0.": "conv_norm_out.",
        "out.2.": "conv_out.", "middle_block.0.": "mid_block.resnets.0.",
        "middle_block.1.": "mid_block.attentions.0.", "middle_block.2.": "mid_block.resnets.1.",
    }  # fmt: skip
    levels = count(state, r"input_blocks\.([0-9]+)\.") // max(1, blocks + 1)
    for level in range(levels):
        for block in range(blocks):
            place = f"input_blocks.{1 + level * (blocks + 1) + block}."
            table[f"{place}0."] = f"down_blocks.{level}.resnets.{block}."
            table[f"{place}1."] = f"down_blocks.{level}.attentions.{block}."
        table[f"input_blocks.{(level + 1) * (blocks + 1)}.0.op."] = f"down_blocks.{level}.downsamplers.0.conv."
        for block in range(blocks + 1):
            place = f"output_blocks.{level * (blocks + 1) + block}."
            table[f"{place}1.conv."] = table[f"{place}2.conv."] = f"up_blocks.{level}.upsamplers.0.conv."
            table[f"{place}0."] = f"up_blocks.{level}.resnets.{block}."
            table[f"{place}1."] = f"up_blocks.{level}.attentions.{block}."
    return table


def _unet_name(name: str, table: Mapping[str, str]) -> str:
    fitting = [start for start in table if name.startswith(start)]
    if not fitting:
        return name
    start = max(fitting, key=len)
    rest = name.removeprefix(start)
    return table[start] + (_replaced(rest, _INSIDE_UNET) if ".resnets." in table[start] else rest)


def _replaced(rest: str, table: Mapping[str, str]) -> str:
    start = next((start for start in table if rest.startswith(start)), "")
    return table[start] + rest.removeprefix(start) if start else rest


def only(state: Mapping[str, Any], beginnings: Sequence[str], prefix: str = "") -> dict[str, Any]:
    """The tensors whose names begin with ``prefix`` and one of ``beginnings``, without the prefix."""
    whole = tuple(prefix + beginning for beginning in beginnings)
    return {str(name).removeprefix(prefix): value for name, value in state.items() if str(name).startswith(whole)}
