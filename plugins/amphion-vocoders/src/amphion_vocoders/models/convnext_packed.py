"""ConvNeXt blocks for inference on a CPU in float32. The results equal those of the plain network to rounding.

oneDNN takes the weights of linear layers in its own order, made once. It also computes what follows a layer while the
layer's outputs are in the cache: GELU after the first, the residual connection after the second. With several threads,
long inputs are computed in pieces of time, each on one thread; see ``amphion_core.modules.workers`` for the reason.
Blocks that normalise over all frames have no such pieces.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.modules.packed_conv import packing_available
from amphion_core.modules.workers import run_pieces, threads_for_pieces

ROWS = 256  # frames for which oneDNN orders the weights; the order serves from 1 to 4,000 frames about equally well
PIECES_PER_THREAD = 2  # more pieces than threads: when another program slows one thread down, the others do more
REPEATED = 1 / 8  # largest part of a piece that its neighbours compute too, because the convolutions reach into it


@dataclass(frozen=True, slots=True)
class PackedLinear:
    """The weights of a linear layer in oneDNN's order, and its bias."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: Any, factor: Tensor | None = None, added: Tensor | None = None) -> "PackedLinear":
        """Pack a linear layer, with its outputs multiplied by ``factor`` (C_out), and ``added`` (C_in) to its input."""
        weight, bias = layer.weight.detach(), layer.bias.detach()
        if factor is not None:
            weight, bias = weight * factor.detach()[:, None], bias * factor.detach()
        if added is not None:
            bias = bias + weight @ added.detach()
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS), bias.clone())

    def then_gelu(self, rows: Tensor) -> Tensor:
        """(B, N, C_in) -> (B, N, C_out)."""
        return torch.ops.mkldnn._linear_pointwise(rows, self.weight, self.bias, "gelu", [], "none")

    def added_to(self, total: Tensor, rows: Tensor) -> Tensor:
        """(B, N, C_out), (B, N, C_in) -> their sum after the layer, (B, N, C_out)."""
        return torch.ops.mkldnn._linear_pointwise.binary(rows, total, self.weight, self.bias, "add")


class PackedBackbone:
    """A copy of the weights of a `Backbone`'s linear layers, with its own forward pass; float32, no gradients."""

    @staticmethod
    def available() -> bool:
        """Whether this torch has oneDNN's linear layers with reordered weights (torch does not document them)."""
        names = ("_linear_pointwise", "_reorder_linear_weight")
        return packing_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)

    def __init__(self, net: Any) -> None:
        self.net = net
        self.sees_all = any(block.grn is not None for block in net.convnext)  # every output depends on every frame
        self.reach: int = net.embed.padding[0] + sum(block.dwconv.padding[0] for block in net.convnext)  # frames

    @cached_property
    def layers(self) -> list[tuple[PackedLinear, PackedLinear]]:
        """Both linear layers of each block."""
        return [
            (
                PackedLinear.of(block.pwconv1),
                PackedLinear.of(block.pwconv2, block.gamma, None if block.grn is None else block.grn.beta.flatten()),
            )
            for block in self.net.convnext
        ]

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy. oneDNN's weights cannot be copied; the copy makes its own."""
        return {"net": self.net, "sees_all": self.sees_all, "reach": self.reach}

    def __call__(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, N, C)."""
        frames, threads = mel.shape[2], threads_for_pieces()
        count = min(PIECES_PER_THREAD * threads, int(frames * REPEATED) // (2 * self.reach))
        if threads == 1 or count < threads or self.sees_all:  # torch's threads share each operation
            return self._compute(mel)
        edges = [frames * index // count for index in range(count + 1)]
        _ = self.layers  # made once, not by several threads
        pieces = [partial(self._piece, mel, start, stop) for start, stop in pairwise(edges)]
        return torch.cat(run_pieces(pieces), 1)

    def _piece(self, mel: Tensor, start: int, stop: int) -> Tensor:
        """The rows (B, stop - start, C) of some frames, computed from these and all that the convolutions reach."""
        first = max(0, start - self.reach)
        rows = self._compute(mel[..., first : stop + self.reach])
        return rows[:, start - first : stop - first]

    @torch.no_grad()
    def _compute(self, mel: Tensor) -> Tensor:
        """(B, F, N) -> (B, N, C)."""
        rows = _norm(self.net.norm, self.net.embed(mel).mT)
        for block, (first, second) in zip(self.net.convnext, self.layers, strict=True):
            inner = first.then_gelu(_norm(block.norm, block.along_time(rows)))
            if block.grn is not None:
                inner.mul_(block.grn.factors(inner))
            rows = second.added_to(rows, inner)
        return _norm(self.net.final_layer_norm, rows)


def _norm(layer: Any, rows: Tensor) -> Tensor:
    """The layer norm of rows, in memory order (B, N, C)."""
    return F.layer_norm(rows.contiguous(), layer.normalized_shape, layer.weight, layer.bias, layer.eps)
