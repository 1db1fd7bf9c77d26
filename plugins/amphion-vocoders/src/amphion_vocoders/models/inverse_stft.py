"""Inverse STFT with a whole hop of audio for each frame, for vocoders that predict spectra.

The frames are windowed, added where they overlap, and divided by the sum of the squared windows there (Griffin and Lim,
IEEE TASSP 32 (1984), eq. 6). ``torch.istft`` knows centred frames only, and returns one hop less.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Padding = Literal["same", "center"]


def inverse_stft(spectra: Tensor, window: Tensor, hop: int, padding: Padding) -> Tensor:
    """Complex spectra (B, N, bins) of frames of 2 * (bins - 1) samples -> wave (B, T), T = N * hop.

    ``window`` stands in the middle of a frame and may be shorter. center: frame n is centred on sample n * hop; the
    first (N - 1) * hop samples are those of ``torch.istft``. same: frame n is centred on sample n * hop + hop / 2. The
    last hop of a centred signal has fewer frames than the others. ``hop`` must be at most a quarter of the window, so
    that no sample is divided by nearly 0.
    """
    size, count = 2 * (spectra.shape[2] - 1), spectra.shape[1]
    left = (size - len(window)) // 2  # samples of a frame before the window; those are 0
    frames = torch.fft.irfft(spectra, size)[..., left : left + len(window)] * window
    start = (size // 2 if padding == "center" else (size - hop) // 2) - left
    stop = start + count * hop
    weight = overlap_add(window.square().expand(1, count, -1), hop)[:, start:stop]
    return overlap_add(frames, hop)[:, start:stop] / weight


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames (B, N, L) at multiples of ``hop`` -> their sum (B, T), T >= (N - 1) * hop + L; zeros at the end."""
    batch, count, size = frames.shape
    pieces = -(-size // hop)  # each frame is cut into pieces of one hop
    if pieces * hop != size:
        frames = F.pad(frames, (0, pieces * hop - size))
    rows = frames.view(batch, count, pieces, hop)
    total = frames.new_zeros(batch, count + pieces - 1, hop)
    for piece in range(pieces):
        total[:, piece : piece + count] += rows[:, :, piece]
    return total.view(batch, -1)
