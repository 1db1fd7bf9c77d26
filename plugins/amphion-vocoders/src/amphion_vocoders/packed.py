"""HiFi-GAN's generator on a CPU: the same sums, laid out for oneDNN's convolutions.

What it changes, measured on V1: weights and activations are channels-last, so that no convolution reorders its input;
weights of wide layers are stored in oneDNN's blocked order once; the leaky ReLU after a convolution and the residual
addition are done inside the convolution, while its output is in registers. Equal to the plain network to rounding.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.packed_conv import blocked

if TYPE_CHECKING:
    from amphion_core.api import Precision
    from amphion_vocoders.hifigan import HiFiGANGenerator


class _Conv(NamedTuple):
    weight: Tensor
    bias: Tensor | None
    dilation: int
    padding: int
    stride: int

    def __call__(self, x: Tensor, *, leaky: bool = False) -> Tensor:
        """(B, C, 1, T) -> (B, C, 1, T), a leaky ReLU of slope 0.1 applied if ``leaky``."""
        after: tuple[Any, ...] = ("leaky_relu", [0.1], "") if leaky else ("none", [], "")
        return torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, (0, self.padding), (1, 1), (1, self.dilation), 1, *after
        )

    def plus(self, x: Tensor, residual: Tensor) -> Tensor:
        """The convolution of x (B, C, 1, T), added to ``residual``."""
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, residual, self.weight, self.bias, (0, self.padding), (1, 1), (1, self.dilation), 1,
            "add", 1.0, None, [], "",
        )  # fmt: skip

    def up(self, x: Tensor) -> Tensor:
        """The transposed convolution: (B, C, 1, T) -> (B, C / 2, 1, T * stride)."""
        return F.conv_transpose2d(x, self.weight, self.bias, (1, self.stride), (0, self.padding))


class PackedGenerator:
    """A copy of a generator's weights with its own forward pass; float32 or bfloat16, no gradients."""

    def __init__(self, net: "HiFiGANGenerator", precision: "Precision") -> None:
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.pre, self.post = self._pack(net.conv_pre), self._pack(net.conv_post)
        per_stage = len(net.resblocks) // len(net.ups)
        self.stages = []
        for stage, up in enumerate(net.ups):
            blocks = net.resblocks[stage * per_stage : (stage + 1) * per_stage]
            self.stages.append((self._pack(up), [self._pack_block(block) for block in blocks]))

    @torch.inference_mode()
    def __call__(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(B, C, N), condition (B, channels, 1) already projected -> (B, 1, T) float32."""
        x = x.unsqueeze(2).to(self.dtype, memory_format=torch.channels_last)
        x = self.pre(x)
        if condition is not None:
            x = x + condition.unsqueeze(2).to(self.dtype)
        for up, blocks in self.stages:
            x = up.up(F.leaky_relu_(x, 0.1))
            activated = F.leaky_relu(x, 0.1)  # what every block of the stage begins with
            total = self._block(x, activated, blocks[0])
            for block in blocks[1:]:
                total = total.add_(self._block(x, activated, block))
            x = total.div_(len(blocks))
        x = self.post(F.leaky_relu_(x, 0.01))
        return torch.tanh_(x.float()).squeeze(2)

    @staticmethod
    def _block(x: Tensor, activated: Tensor, layers: list[tuple[_Conv, ...]]) -> Tensor:
        for place, (first, *second) in enumerate(layers):
            h = F.leaky_relu(x, 0.1) if place else activated
            x = second[0].plus(first(h, leaky=True), x) if second else first.plus(h, x)
        return x

    def _pack_block(self, block: Any) -> list[tuple[_Conv, ...]]:
        if hasattr(block, "convs"):
            return [(self._pack(conv),) for conv in block.convs]
        return [(self._pack(a), self._pack(b)) for a, b in zip(block.convs1, block.convs2, strict=True)]

    def _pack(self, conv: Any) -> _Conv:
        weight = conv.weight.detach().unsqueeze(2).to(self.dtype, memory_format=torch.channels_last)
        bias = None if conv.bias is None else conv.bias.detach().to(self.dtype)
        padding, dilation = conv.padding[0], conv.dilation[0]
        if isinstance(conv, nn.Conv1d):
            weight = blocked(weight, padding, dilation)
        return _Conv(weight, bias, dilation, padding, conv.stride[0])
