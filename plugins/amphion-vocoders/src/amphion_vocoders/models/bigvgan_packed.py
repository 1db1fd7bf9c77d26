"""BigVGAN's generator for inference on a CPU. The results equal those of the plain network to rounding.

It is HiFi-GAN's (see ``hifigan_packed.py``: channels side by side, pieces of time that fit the cache) with the compiled
loop of the anti-aliased activation before each convolution. benchmarks/bigvgan_vocoder.py measures it.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from amphion_core.modules.workers import run_on_one_thread
from amphion_vocoders.models import antialiasing
from amphion_vocoders.models.hifigan_packed import (
    PackedGenerator,
    PackedLayer,
    PackedStage,
    PackedUpsampling,
    zero_ended,
)

if TYPE_CHECKING:
    from amphion_core.api import Precision


class PackedBigVGAN:
    """A copy of a `BigVGANGenerator`'s weights with its own forward pass; float32 or bfloat16, no gradients.

    In bfloat16 only the convolutions have that precision inside; activations are computed in float32.
    """

    @staticmethod
    def available() -> bool:
        """Whether this torch computes with oneDNN, and numba is installed."""
        return PackedGenerator.available() and antialiasing.compiled() is not None

    def __init__(self, net: Any, precision: "Precision") -> None:
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        pre = net.conv_pre
        self.pre = PackedLayer(pre.weight, pre.bias, 1, pre.padding[0], self.dtype, slope=1.0)
        per_stage = len(net.resblocks) // len(net.ups)
        self.stages = []
        for stage, (up,) in enumerate(net.ups):
            blocks = net.resblocks[stage * per_stage : (stage + 1) * per_stage]
            upsampling = PackedUpsampling(up, self.dtype, slope=1.0)
            self.stages.append(PackedStage(upsampling, [self._block(block) for block in blocks]))
        post = _ActivatedLayer(net.conv_post, net.activation_post, torch.float32)
        limit = torch.tanh_ if net.tanh_at_final else partial(torch.clamp_, min=-1, max=1)
        self.stages[-1].end_with(post, limit)

    def __call__(self, x: Tensor) -> Tensor:
        """(B, F, N) -> (B, 1, T) float32."""
        return run_on_one_thread(partial(self._compute, x))

    @torch.no_grad()
    def _compute(self, x: Tensor) -> Tensor:
        x = self.pre(x.unsqueeze(2).to(self.dtype, memory_format=torch.channels_last))  # (B, C, 1, N)
        for stage in self.stages:
            x = stage(x)
        return x.squeeze(2)

    def _block(self, block: Any) -> list[list[PackedLayer]]:
        if hasattr(block, "convs"):
            return [[_ActivatedLayer(*pair, self.dtype)] for pair in zip(block.convs, block.activations, strict=True)]
        convs = [conv for pair in zip(block.convs1, block.convs2, strict=True) for conv in pair]
        layers: list[PackedLayer] = [
            _ActivatedLayer(*pair, self.dtype) for pair in zip(convs, block.activations, strict=True)
        ]
        return [layers[index : index + 2] for index in range(0, len(layers), 2)]


class _ActivatedLayer(PackedLayer):
    """An anti-aliased activation and a convolution after it, padded with zeros on both sides."""

    def __init__(self, conv: Any, activation: antialiasing.AntiAliasedSnake, dtype: torch.dtype) -> None:
        super().__init__(conv.weight, conv.bias, conv.dilation[0], conv.padding[0], dtype, slope=1.0)
        self.factors = [factor.detach().float().clone() for factor in activation.factors()]

    @property
    def reach(self) -> int:
        """Samples on either side that an output depends on."""
        return self.padding + antialiasing.REACH

    def _prepared(self, x: Tensor) -> Tensor:
        x = x.float()
        result = zero_ended(x, self.padding)
        for source, target in zip(x.squeeze(2).mT, result.squeeze(2).mT, strict=True):  # (T, C)
            rows = target[self.padding : len(target) - self.padding]
            antialiasing.compiled().activate_rows(source.contiguous(), *self.factors, rows)
        return result.to(self.weight.dtype)
