"""HiFi-GAN's generator for inference on a CPU. The results equal those of the plain network to rounding.

It is faster for these reasons (measured by benchmarks/hifigan.py and benchmarks/short_texts.py):

* Activations have the memory order channels-last, so that oneDNN need not reorder inputs and outputs.
* Each stage computes pieces of time that fit the cache. A piece includes the samples on both sides that its
  convolutions reach. With several threads, each piece runs on one of them.
* A convolution with few outputs is one matrix product.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.modules.packed_conv import multiply_windows
from amphion_core.modules.workers import run_on_one_thread, run_pieces, threads_for_pieces

if TYPE_CHECKING:
    from amphion_core.api import Precision
    from amphion_vocoders.models.sine_source import Added

PIECE = 1 << 20  # largest number of values in one activation of a piece; a few such activations fit the L3 cache
PIECES_PER_THREAD = 2  # more pieces than threads: when another program slows one thread down, the others do more
SHORT = 128  # up to this number of outputs a matrix product is faster, because oneDNN reorders the weights first


class PackedGenerator:
    """A copy of the weights of a `HiFiGANGenerator` with its own forward pass; float32 or bfloat16, no gradients."""

    @staticmethod
    def available() -> bool:
        """Whether this torch computes with oneDNN."""
        return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]

    def __init__(self, net: Any, precision: "Precision") -> None:
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.slope = net.slope
        self.pre = self._layer(net.conv_pre, slope=1.0)
        per_stage = len(net.resblocks) // len(net.ups)
        self.stages = []
        for stage, up in enumerate(net.ups):
            blocks = net.resblocks[stage * per_stage : (stage + 1) * per_stage]
            self.stages.append(
                PackedStage(
                    PackedUpsampling(up, self.dtype, slope=self.slope), [self._block(block) for block in blocks]
                )
            )
        # After the last bfloat16 convolution, float32 costs little time and avoids half of the loss in PESQ.
        self.stages[-1].end_with(self._layer(net.conv_post, slope=net.last_slope, dtype=torch.float32), torch.tanh_)

    def __call__(self, x: Tensor, condition: Tensor | None = None, added: "Added | None" = None) -> Tensor:
        """(B, C, N), condition (B, channels, 1) already projected -> (B, 1, T) float32."""
        return run_on_one_thread(partial(self._compute, x, condition, added))

    @torch.no_grad()
    def _compute(self, x: Tensor, condition: Tensor | None, added: "Added | None") -> Tensor:
        x = self.pre(x.unsqueeze(2).to(self.dtype, memory_format=torch.channels_last))  # (B, C, 1, N)
        if condition is not None:
            x = x + condition.unsqueeze(2).to(self.dtype)
        for index, stage in enumerate(self.stages):
            x = stage(x, None if added is None else added(index))
        return x.squeeze(2)

    def _layer(self, conv: Any, *, slope: float | None = None, dtype: torch.dtype | None = None) -> "PackedLayer":
        slope = self.slope if slope is None else slope
        return PackedLayer(conv.weight, conv.bias, conv.dilation[0], conv.padding[0], dtype or self.dtype, slope=slope)

    def _block(self, block: Any) -> list[list["PackedLayer"]]:
        if hasattr(block, "convs"):
            return [[self._layer(conv)] for conv in block.convs]
        return [[self._layer(a), self._layer(b)] for a, b in zip(block.convs1, block.convs2, strict=True)]


class PackedStage:
    """Upsampling, then the mean of the residual blocks, computed in pieces of time."""

    def __init__(self, up: "PackedUpsampling", blocks: list[list[list["PackedLayer"]]]) -> None:
        self.up = up
        self.blocks = blocks
        self.post: PackedLayer | None = None  # the last convolution of the network
        self.limit: Callable[[Tensor], Tensor]  # what follows it
        self.reach = max(sum(layer.reach for pair in block for layer in pair) for block in blocks)

    def end_with(self, post: "PackedLayer", limit: Callable[[Tensor], Tensor]) -> None:
        """Make this the last stage, with ``limit`` after the last convolution. It sums in float32."""
        self.post, self.limit = post, limit
        self.reach += post.reach

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(B, C, 1, T) -> (B, C / 2, 1, T * rate); the last stage returns the wave (B, 1, 1, T * rate).

        ``added`` (B, C / 2, T * rate) is added after the upsampling.
        """
        length = x.shape[-1] * self.up.rate
        step = self._step(len(x), length)
        if step >= length:
            return self._mix(_plus(self.up(x), added))
        ends = self.post is not None
        result = _empty(x, 1 if ends else self.up.channels, length, torch.float32 if ends else None)

        def compute(start: int) -> None:
            stop = min(start + step, length)
            first = max(0, start - self.reach)
            last = min(stop + self.reach, length)
            made = self._mix(_plus(self.up.part(x, first, last), None if added is None else added[..., first:last]))
            result[..., start:stop] = made[..., start - first : stop - first]  # at both ends, layers pad with zeros

        run_pieces([partial(compute, start) for start in range(0, length, step)])
        return result

    def _step(self, batch: int, length: int) -> int:
        """Length of the pieces: they fit the cache, are enough for all threads, and are long beside their overlap."""
        threads = threads_for_pieces()
        step = PIECE // (batch * self.up.channels)
        if threads > 1:
            step = min(step, -(-length // (PIECES_PER_THREAD * threads)))
        step = max(step, 4 * self.reach, 1)
        return -(-length // -(-length // step))  # the same number of pieces, of equal length

    def _mix(self, x: Tensor) -> Tensor:
        total: Tensor | None = None
        for block in self.blocks:
            y = x
            for pair in block:
                h = y
                for layer in pair:
                    h = layer(h)
                y = h.add_(y)
            if total is None:
                total = y if self.post is None else y.float()
            else:
                total.add_(y)
        assert total is not None
        total.div_(len(self.blocks))
        return total if self.post is None else self.limit(self.post(total))


class PackedLayer:
    """A leaky ReLU and a convolution after it, padded with zeros on both sides."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, dilation: int, padding: int, dtype: torch.dtype, *, slope: float
    ) -> None:
        self.taps, self.dilation, self.padding, self.slope = weight.shape[2], dilation, padding, slope
        weight = weight.detach().to(dtype)
        self.weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.bias = None if bias is None else bias.detach().to(dtype)

    @property
    def reach(self) -> int:
        """Samples on either side that an output depends on."""
        return self.padding

    @cached_property
    def matrix(self) -> Tensor:
        """(K * C_in, C_out), the weights for short inputs, made when they are first needed."""
        return self.weight.squeeze(2).permute(2, 1, 0).reshape(-1, self.weight.shape[0])

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, 1, T) -> (B, C', 1, T'), T' = T where the padding is half the convolution's reach."""
        x = self._prepared(x)
        if x.shape[-1] - (self.taps - 1) * self.dilation <= SHORT:
            rows = x.squeeze(2).mT
            return multiply_windows(rows, self.matrix, self.bias, self.taps, self.dilation).mT.unsqueeze(2)
        return torch.mkldnn_convolution(x, self.weight, self.bias, (0, 0), (1, 1), (1, self.dilation), 1)

    def _prepared(self, x: Tensor) -> Tensor:
        """What the convolution reads: (B, C, 1, T) -> (B, C, 1, T + 2 * padding)."""
        return _padded(x, self.padding, self.slope)


class PackedUpsampling(PackedLayer):
    """A leaky ReLU and a transposed convolution, as one convolution for each phase of the output t * rate + phase."""

    def __init__(self, conv: Any, dtype: torch.dtype, *, slope: float) -> None:
        self.rate, self.cut = conv.stride[0], conv.padding[0]
        inputs, outputs, kernel = conv.weight.shape
        self.channels = outputs
        taps = -(-kernel // self.rate)
        weight = F.pad(conv.weight, (0, taps * self.rate - kernel)).view(inputs, outputs, taps, self.rate)
        weight = weight.flip(2).permute(3, 1, 0, 2).reshape(self.rate * outputs, inputs, taps)
        super().__init__(weight, conv.bias.repeat(self.rate), 1, taps - 1, dtype, slope=slope)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, 1, T) -> (B, C / 2, 1, T * rate)."""
        phases = super().__call__(x).permute(0, 2, 3, 1)  # (B, 1, T + taps - 1, rate * C / 2)
        y = phases.reshape(len(x), 1, -1, phases.shape[3] // self.rate).permute(0, 3, 1, 2)
        return y[..., self.cut : self.cut + x.shape[-1] * self.rate]

    def part(self, x: Tensor, start: int, stop: int) -> Tensor:
        """The samples ``start`` to ``stop`` - 1 of what a call returns."""
        first = max(0, start // self.rate - self.taps)
        last = -(-stop // self.rate) + self.taps
        return self(x[..., first:last])[..., start - first * self.rate : stop - first * self.rate]


def _plus(x: Tensor, added: Tensor | None) -> Tensor:
    """x (B, C, 1, T) with ``added`` (B, C, T), in place."""
    return x if added is None else x.add_(added.unsqueeze(2))


def _padded(x: Tensor, padding: int, slope: float) -> Tensor:
    """The leaky ReLU of x with zeros on both sides: (B, C, 1, T) -> (B, C, 1, T + 2 * padding), channels-last."""
    result = zero_ended(x, padding)
    stop = padding + x.shape[-1]
    if slope == 1:
        result[..., padding:stop] = x
    else:
        torch._C._nn.leaky_relu(x, slope, out=result[..., padding:stop])
    return result


def zero_ended(like: Tensor, padding: int) -> Tensor:
    """Memory for ``like`` (B, C, 1, T) and zeros on both sides, (B, C, 1, T + 2 * padding), channels-last."""
    result = _empty(like, like.shape[1], like.shape[-1] + 2 * padding)
    result[..., :padding] = 0
    result[..., result.shape[-1] - padding :] = 0
    return result


def _empty(like: Tensor, channels: int, length: int, dtype: torch.dtype | None = None) -> Tensor:
    """(B, channels, 1, length), channels-last."""
    return like.new_empty((like.shape[0], 1, length, channels), dtype=dtype or like.dtype).permute(0, 3, 1, 2)
