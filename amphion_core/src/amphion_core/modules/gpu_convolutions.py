"""Convolutions of audio networks in the form that a GPU computes fastest; equal to those of torch to rounding.

cuDNN computes a convolution of 16 groups as many small ones, and one with a single input or output channel without
matrix units. Matrix products do the same sums in a few launches. On other devices the convolutions of torch run.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

COLUMNS = 256  # columns that a product should have for each group, so that it fills the matrix units
FEWEST, MOST = 4, 16  # outputs computed together: more of them read less input twice, but multiply more zeros


class BlockedConv1d(nn.Conv1d):
    """A convolution along time, for groups of channels: (B, C, T) -> (B, C', T')."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T')."""
        if not x.is_cuda:
            return super().forward(x)
        stride, padding = self.stride[0], int(self.padding[0])
        if self.out_channels == 1:
            return single_output(x, self.weight, self.bias, padding)
        if self.groups == 1 and self.in_channels > 1:
            return super().forward(x)
        return blocked_conv1d(x, self.weight, self.bias, stride, padding, self.groups)


class ColumnConv2d(nn.Conv2d):
    """A convolution along the first of two axes, kernel (K, 1): (B, C, T, P) -> (B, C', T', P), channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, P) -> (B, C', T', P)."""
        if not x.is_cuda:
            return super().forward(x)
        stride, padding = self.stride[0], int(self.padding[0])
        if self.out_channels == 1 and stride == 1:
            y = single_output(x.flatten(2), self.weight[..., 0], self.bias, padding, step=x.shape[3])
            return y.view(len(x), 1, -1, x.shape[3])
        if self.in_channels == 1:
            return single_input(x, self.weight, self.bias, stride, padding)
        x, weight = _cast(x, self.weight)
        x, weight = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, weight))
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, groups=self.groups)


def blocked_conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """``F.conv1d`` without dilation, as one matrix product for each group.

    x (B, C, T), weight (C', C / groups, K) -> (B, C', T'). A row of the product holds the input of R neighbouring
    outputs, and the weights stand R times in the other factor, each time shifted by the stride.
    """
    x, weight = _cast(x, weight)
    batch, _, samples = x.shape
    inputs, taps = weight.shape[1:]
    outputs = len(weight) // groups
    together = max(FEWEST, min(MOST, COLUMNS // outputs))  # R
    window = (together - 1) * stride + taps
    length = (samples + 2 * padding - taps) // stride + 1
    blocks = -(-length // together)
    needed = (blocks - 1) * together * stride + window
    x = F.pad(x, (padding, needed - padding - samples))
    windows = x.view(batch, groups, inputs, needed).unfold(3, window, together * stride)  # (B, G, C / G, blocks, W)
    rows = windows.permute(1, 0, 3, 2, 4).reshape(groups, batch * blocks, inputs * window)
    y = torch.bmm(rows, _shifted(weight, groups, together, stride, window))  # (G, B * blocks, R * outputs)
    y = y.view(groups, batch, blocks, together, outputs).permute(1, 0, 4, 2, 3)
    y = y.reshape(batch, groups * outputs, blocks * together)[..., :length]
    return y if bias is None else y + bias[:, None].to(y.dtype)


def _shifted(weight: Tensor, groups: int, together: int, stride: int, window: int) -> Tensor:
    """(G * outputs, C, K) -> (G, C * window, R * outputs): copy r of the weights begins at row r * stride."""
    outputs, (inputs, taps) = len(weight) // groups, weight.shape[1:]
    padded = F.pad(weight.view(groups, outputs, inputs, taps), (0, window + stride - taps))
    # Copies of length window + stride, cut anew into rows of length window: row r begins r * stride further left.
    rows = padded.unsqueeze(3).expand(-1, -1, -1, together, -1).flatten(3)[..., : together * window]
    rows = rows.view(groups, outputs, inputs, together, window)
    return rows.permute(0, 2, 4, 3, 1).reshape(groups, inputs * window, together * outputs)


def single_input(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0) -> Tensor:
    """x (B, 1, T, P), weight (C', 1, K, 1) -> (B, C', T', P), stored channels last."""
    windows = F.pad(x[:, 0], (0, 0, padding, padding)).unfold(1, weight.shape[2], stride)  # (B, T', P, K)
    return F.linear(windows, weight.flatten(1), bias).permute(0, 3, 1, 2)


def single_output(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 0, *, step: int = 1) -> Tensor:
    """x (B, C, N), weight (1, C, K) -> (B, 1, N'), stride 1; taps are ``step`` values apart, padding counts steps."""
    taps = weight.shape[2]
    z = F.pad(weight[0].mT @ x, (padding * step, padding * step))  # (B, K, M): what each tap adds, to be shifted
    size = z.shape[2]
    shifted = F.pad(z.flatten(1), (0, taps * step)).view(len(x), taps, size + step)  # row k begins k steps later
    y = shifted[..., : size - (taps - 1) * step].sum(1, keepdim=True)
    return y if bias is None else y + bias.to(y.dtype)


def _cast(*tensors: Tensor) -> Any:
    """The tensors in the type that autocast gives to convolutions: what is copied here is then half as large."""
    device = tensors[0].device.type
    if torch.is_autocast_enabled(device):
        return [tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors]
    return tensors


class TimeConv1d(nn.Conv1d):
    """A convolution along time that also takes (B, C, 1, T), which a GPU computes fastest with channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T'), or (B, C, 1, T) -> (B, C', 1, T')."""
        if x.dim() == 3:
            return super().forward(x)
        if self.out_channels == 1 and self.stride == self.dilation == (1,):
            return single_output(x.flatten(2), self.weight, self.bias, int(self.padding[0])).unsqueeze(2)
        place = (1, self.stride[0]), (0, int(self.padding[0])), (1, self.dilation[0])
        return F.conv2d(x, _wide(x, self.weight), self.bias, *place, self.groups)


class TimeConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution along time that also takes (B, C, 1, T)."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, T) -> (B, C', T'), or (B, C, 1, T) -> (B, C', 1, T')."""
        if x.dim() == 3:
            return super().forward(x, output_size)
        place = (1, self.stride[0]), (0, int(self.padding[0])), (0, self.output_padding[0])
        return F.conv_transpose2d(x, _wide(x, self.weight), self.bias, *place, self.groups, (1, self.dilation[0]))


def _wide(x: Tensor, weight: Tensor) -> Tensor:
    """(C', C, K) -> (C', C, 1, K) in the order and the type that the convolution of ``x`` uses, in one copy."""
    enabled = torch.is_autocast_enabled(x.device.type)
    return channels_last(weight, torch.get_autocast_dtype(x.device.type) if enabled else None)


def channels_last(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """(B, C, T) -> (B, C, 1, T), stored with the channels of one sample side by side."""
    return x.unsqueeze(2).to(dtype or x.dtype, memory_format=torch.channels_last)
