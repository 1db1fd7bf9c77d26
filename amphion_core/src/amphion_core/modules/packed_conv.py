"""Convolutions for inference on a CPU: weights stored once in the order that oneDNN computes in.

torch reorders the weights of a convolution at every call, and sends narrow ones through a slower path on one thread.
The results are equal to rounding. Elsewhere, and where gradients are wanted, the plain convolution runs.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

WIDE = 64  # channels from which the blocked order pays
Part = TypeVar("Part", bound=nn.Module)


def packing_available() -> bool:
    """Whether this torch has oneDNN's fused convolutions (they are internal to it)."""
    has_onednn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return has_onednn and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def blocked(weight: Tensor, padding: int, dilation: int) -> Tensor:
    """A weight (C_out, C_in, 1, K) in oneDNN's order for stride 1; as it is where that does not pay."""
    if min(weight.shape[:2]) < WIDE:
        return weight
    size = (1, weight.shape[1], 1, 1024)  # any length: it only chooses the order
    return torch.ops.mkldnn._reorder_convolution_weight(weight, (0, padding), (1, 1), (1, dilation), 1, size)


class PackedConv1d(nn.Conv1d):
    """A trained convolution of stride 1 and one group: (B, C_in, T) -> (B, C_out, T)."""

    def __init__(self, conv: Any) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=conv.padding, dilation=conv.dilation,
            bias=conv.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias
        self._lay_out()

    def _lay_out(self) -> None:
        laid_out = self.weight.detach().unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.order = blocked(laid_out, int(self.padding[0]), self.dilation[0])

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._lay_out()  # the order is a copy

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T)."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        return torch.ops.mkldnn._convolution_pointwise(
            x.unsqueeze(2), self.order, self.bias, (0, self.padding[0]), (1, 1), (1, self.dilation[0]), 1,
            "none", [], "",
        ).squeeze(2)  # fmt: skip


def pack_convolutions(part: Part) -> Part:
    """Replace the convolutions inside ``part`` that can be packed; weight norms must be folded already."""
    if packing_available():
        for name, child in list(part.named_children()):
            plain = isinstance(child, nn.Conv1d) and not isinstance(child, PackedConv1d)
            if plain and child.groups == 1 and child.stride == (1,) and child.padding_mode == "zeros":
                setattr(part, name, PackedConv1d(child))
            else:
                pack_convolutions(child)
    return part
