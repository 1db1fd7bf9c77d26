"""Faster convolutions for inference on a CPU: matrix products for short inputs, oneDNN's weight order for long ones.

torch reorders the weights of a convolution in every call. oneDNN can take weights that were reordered before, but the
order that it needs depends on the length of the input: with weights in another order, a call takes up to a hundred
times as long. Short inputs and kernels of size 1 therefore become matrix products, which need no order.
The results equal those of ``nn.Conv1d`` to rounding. On a GPU, or with gradients, ``nn.Conv1d`` itself runs.
"""

from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_BLOCKED_CHANNELS = 64  # oneDNN's blocked order is slower than the plain one below this number of channels
MIN_BLOCKED_LENGTH = 100  # from this length on, one order serves every length (measured from 100 to 4,000)
FEW_ROWS = range(1, 14)  # products of so many rows are up to twice as fast with the weights of an output side by side
Part = TypeVar("Part", bound=nn.Module)


def packing_available() -> bool:
    """Return whether this torch has oneDNN's convolutions with reordered weights (torch does not document them)."""
    has_onednn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return has_onednn and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def blocked(weight: Tensor, padding: int, dilation: int) -> Tensor:
    """Return a weight (C_out, C_in, 1, K) in oneDNN's order for long inputs; narrow weights are returned unchanged."""
    if min(weight.shape[:2]) < MIN_BLOCKED_CHANNELS:
        return weight
    size = (1, weight.shape[1], 1, 1024)  # any length from MIN_BLOCKED_LENGTH on gives the same order
    return torch.ops.mkldnn._reorder_convolution_weight(weight, (0, padding), (1, 1), (1, dilation), 1, size)


class PackedConv1d(nn.Conv1d):
    """Convolution with stride 1 and one group: (B, C_in, T) -> (B, C_out, T').

    Without gradients it keeps and returns activations in the memory order (B, T, C), so that a chain of such layers
    copies nothing in between. A reordered copy of the weights is made when a call first needs it; loading other weights
    discards the copies.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=conv.padding, dilation=conv.dilation,
            bias=conv.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias

    @cached_property
    def matrix(self) -> Tensor:
        """(K * C_in, C_out), the weights tap by tap."""
        return self.weight.detach().permute(2, 1, 0).reshape(-1, self.out_channels).contiguous()

    @cached_property
    def by_output(self) -> Tensor:
        """The numbers of ``matrix`` in the other memory order."""
        return self.weight.detach().mT.reshape(self.out_channels, -1).T

    @cached_property
    def order(self) -> Tensor:
        """(C_out, C_in, 1, K) as oneDNN wants it for long inputs."""
        weight = self.weight.detach().unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return blocked(weight, int(self.padding[0]), self.dilation[0])

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        for name in ("matrix", "by_output", "order"):
            self.__dict__.pop(name, None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, T) -> (B, C_out, T'), T' = T where the padding is half the kernel's reach."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        if self.kernel_size == (1,) or x.shape[2] < MIN_BLOCKED_LENGTH:
            return self._multiply(x.mT).mT
        return torch.ops.mkldnn._convolution_pointwise(
            x.unsqueeze(2).contiguous(memory_format=torch.channels_last), self.order, self.bias, (0, self.padding[0]),
            (1, 1), (1, self.dilation[0]), 1, "none", [], "",
        ).squeeze(2)  # fmt: skip

    def _multiply(self, rows: Tensor) -> Tensor:
        """(B, T, C_in) -> (B, T', C_out): one matrix product of the weight with all windows of the input."""
        taps, padding, dilation = self.kernel_size[0], int(self.padding[0]), self.dilation[0]
        channels, length = rows.shape[2], rows.shape[1]
        out_length = length + 2 * padding - dilation * (taps - 1)
        few = taps > 1 and len(rows) * out_length in FEW_ROWS
        matrix = self.by_output if few else self.matrix
        if taps == 1 and not padding:
            return multiply_windows(rows, matrix, self.bias, 1, 1)
        # A tap that only ever meets the padding adds nothing. For very short inputs this skips most of the weight.
        used = [tap for tap in range(taps) if -out_length < tap * dilation - padding < length]
        first, stop = used[0], used[-1] + 1
        before = padding - first * dilation
        after = out_length + (stop - 1) * dilation - padding - length
        if before or after:
            rows = F.pad(rows, (0, 0, before, after))
        return multiply_windows(rows, matrix[first * channels : stop * channels], self.bias, stop - first, dilation)


class PackedDepthwiseConv1d(nn.Conv1d):
    """Convolution with stride 1 and a separate filter for each channel: (B, C, T) -> (B, C, T').

    Without gradients on a CPU it multiplies all windows of the input with the filters, in the memory order (B, T, C).
    """

    def __init__(self, conv: Any) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size[0], padding=conv.padding, dilation=conv.dilation,
            groups=conv.groups, bias=conv.bias is not None, device="meta",
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T'), T' = T where the padding is half the kernel's reach."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        taps, padding, dilation = self.kernel_size[0], int(self.padding[0]), self.dilation[0]
        rows = F.pad(x.mT, (0, 0, padding, padding)).contiguous()
        batch, length, channels = rows.shape
        length -= (taps - 1) * dilation
        windows = rows.as_strided((batch, length, taps, channels), (rows.stride(0), channels, dilation * channels, 1))
        total = (windows * self.weight[:, 0].T).sum(2)
        if self.bias is not None:
            total += self.bias
        return total.mT


def multiply_windows(rows: Tensor, matrix: Tensor, bias: Tensor | None, taps: int, dilation: int) -> Tensor:
    """Convolution without padding as one matrix product: (B, T, C_in) -> (B, T - (taps - 1) * dilation, C_out).

    ``matrix`` (taps * C_in, C_out) holds the weights tap by tap: ``weight.permute(2, 1, 0).reshape(-1, C_out)``.
    """
    batch, length, channels = rows.shape
    if taps > 1:
        rows = rows.contiguous()
        length -= (taps - 1) * dilation
        strides = (rows.stride(0), channels, dilation * channels, 1)
        rows = rows.as_strided((batch, length, taps, channels), strides)
    flat = rows.reshape(batch * length, -1)
    product = flat @ matrix if bias is None else torch.addmm(bias, flat, matrix)
    return product.view(batch, length, -1)


def pack_convolutions(part: Part) -> Part:
    """Replace each convolution in ``part`` that can be packed, and return ``part``. Fold weight norms first."""
    if packing_available():
        for name, child in list(part.named_children()):
            if type(child) is not nn.Conv1d:
                pack_convolutions(child)
            elif child.stride == (1,) and child.padding_mode == "zeros" and not isinstance(child.padding, str):
                if child.groups == 1:
                    setattr(part, name, PackedConv1d(child))
                elif child.groups == child.in_channels == child.out_channels:
                    setattr(part, name, PackedDepthwiseConv1d(child))
    return part
