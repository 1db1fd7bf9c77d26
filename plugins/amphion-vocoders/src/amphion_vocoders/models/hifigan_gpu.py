"""HiFi-GAN's generator on a GPU at inference: channels last, weights converted once, short inputs as CUDA graphs.

Equal to the plain network to rounding in float32. In bfloat16 what follows the last residual blocks stays in float32,
as on a CPU: it takes little time, and in bfloat16 it would cost half of PESQ's loss.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.modules.cuda_graphs import GraphCache, rounded, step_of
from amphion_core.modules.gpu_convolutions import channels_last, single_output

if TYPE_CHECKING:
    from amphion_core.api import Precision
    from amphion_vocoders.models.sine_source import Added

GRAPH_FRAMES = 1024  # up to so many frames in a batch, launching takes longer than computing


class GPUGenerator:
    """A copy of the weights of a `HiFiGANGenerator`, folded already, with its own forward pass. No gradients."""

    def __init__(self, net: Any, precision: "Precision") -> None:
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.slope, self.last_slope = net.slope, net.last_slope
        self.pre = _Convolution(net.conv_pre, self.dtype)
        per_stage = len(net.resblocks) // len(net.ups)
        self.stages = []
        for stage, up in enumerate(net.ups):
            blocks = net.resblocks[stage * per_stage : (stage + 1) * per_stage]
            self.stages.append((_Convolution(up, self.dtype), [self._block(block) for block in blocks]))
        bias = net.conv_post.bias
        self.post = net.conv_post.weight.detach().float(), None if bias is None else bias.detach().float()
        self.padding = int(net.conv_post.padding[0])
        self.graphs = GraphCache(self._recorded)

    @torch.no_grad()
    def __call__(self, x: Tensor, condition: Tensor | None = None, added: "Added | None" = None) -> Tensor:
        """(B, C, N), condition (B, channels, 1) already projected -> (B, 1, T) float32. ``added`` excludes graphs."""
        count = x.shape[2]
        too_long = len(x) * count > GRAPH_FRAMES
        if not x.is_cuda or too_long or added is not None or torch.cuda.is_current_stream_capturing():
            return self.compute(x, condition, added=added)
        frames = torch.full((len(x),), count, device=x.device)
        wave = self.graphs(F.pad(x, (0, rounded(count) - count)), condition, frames)[0]
        return wave[..., : wave.shape[2] // rounded(count) * count]

    def compute(
        self, x: Tensor, condition: Tensor | None = None, frames: Tensor | None = None, *, tail: int | None = None,
        added: "Added | None" = None,
    ) -> Tensor:  # fmt: skip
        """The same without graphs. ``frames`` (B) are valid frames: the result is as if the item ended there.

        Only the last ``tail`` frames may be invalid; None: those that `rounded` may have added.
        """
        valid = None if frames is None else _Valid(frames, x.shape[2], step_of(x.shape[2]) if tail is None else tail)
        x = channels_last(x, self.dtype)
        x = self.pre(valid.cut(x.clone()) if valid else x)
        if condition is not None:
            x = x + condition.unsqueeze(2).to(self.dtype)
        x = valid.cut(x) if valid else x
        for index, (up, blocks) in enumerate(self.stages):
            x = up(F.leaky_relu_(x, self.slope))
            if added is not None and (source := added(index)) is not None:
                x = x + source.unsqueeze(2).to(self.dtype)
            x = valid.cut(x) if valid else x
            last = index + 1 == len(self.stages)
            x = self._mean(x, blocks, valid, torch.float32 if last else self.dtype)
        x = F.leaky_relu_(x, self.last_slope).flatten(2)
        wave = torch.tanh_(single_output(x, *self.post, self.padding))
        return valid.cut(wave.unsqueeze(2)).squeeze(2) if valid else wave

    def _recorded(self, x: Tensor, condition: Tensor | None, frames: Tensor) -> tuple[Tensor]:
        return (self.compute(x, condition, frames),)

    def _mean(self, x: Tensor, blocks: list[Any], valid: "_Valid | None", dtype: torch.dtype) -> Tensor:
        total: Tensor | None = None
        for block in blocks:
            y = x
            for layers in block:
                h = F.leaky_relu(y, self.slope)
                for index, layer in enumerate(layers):
                    h = layer(F.leaky_relu_(h, self.slope) if index else h)
                    h = valid.cut(h) if valid else h
                y = h.add_(y)
            total = y.to(dtype) if total is None else total.add_(y)
        assert total is not None
        return total.div_(len(blocks))

    def _block(self, block: Any) -> list[list["_Convolution"]]:
        if hasattr(block, "convs"):
            return [[_Convolution(conv, self.dtype)] for conv in block.convs]
        pairs = zip(block.convs1, block.convs2, strict=True)
        return [[_Convolution(dilated, self.dtype), _Convolution(plain, self.dtype)] for dilated, plain in pairs]


class _Convolution:
    """A convolution, transposed or not, of (B, C, 1, T) with channels last."""

    def __init__(self, conv: Any, dtype: torch.dtype) -> None:
        self.weight = channels_last(conv.weight.detach(), dtype)
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self.transposed = bool(conv.transposed)
        self.stride, self.padding, self.dilation = conv.stride[0], int(conv.padding[0]), conv.dilation[0]

    def __call__(self, x: Tensor) -> Tensor:
        place = (1, self.stride), (0, self.padding)
        if self.transposed:
            return F.conv_transpose2d(x, self.weight, self.bias, *place)
        return F.conv2d(x, self.weight, self.bias, *place, (1, self.dilation))


class _Valid:
    """Sets what lies behind each item's end to zero, as the zero padding of a shorter input would be."""

    def __init__(self, frames: Tensor, count: int, tail: int) -> None:
        """``frames`` (B) of ``count``; only the last ``tail`` may be invalid."""
        self.count, self.tail = count, min(tail, count)
        self.inside = torch.arange(count - self.tail, count, device=frames.device) < frames[:, None]
        self.masks: dict[tuple[int, torch.dtype], Tensor] = {}

    def cut(self, x: Tensor) -> Tensor:
        """(B, C, 1, count * rate), changed in place."""
        rate = x.shape[3] // self.count
        if (key := (rate, x.dtype)) not in self.masks:
            self.masks[key] = self.inside.repeat_interleave(rate, 1)[:, None, None].to(x.dtype)
        x[..., x.shape[3] - self.tail * rate :].mul_(self.masks[key])
        return x
