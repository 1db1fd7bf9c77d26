"""Mel conventions that a vocoder's mel loss compares: one, or several from short windows to long ones.

The mel loss of HiFi-GAN (arXiv:2010.05646, eq. 3) has one convention. The multi-scale one is that of DAC (Kumar et al.:
"High-Fidelity Audio Compression with Improved RVQGAN", arXiv:2306.06546, section 3.5), as BigVGAN version 2 uses it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from amphion_core.api import MelConfig
from amphion_core.features.mel import mel_spectrogram

SCALES = tuple((5 * 2**step, 32 * 2**step) for step in range(7))  # bands, window in samples


def multi_scale(sample_rate: int) -> tuple[MelConfig, ...]:
    """The seven conventions at a rate in Hz: 5 bands of 32 samples up to 320 bands of 2,048, log10 of all bands."""
    return tuple(
        MelConfig(
            sample_rate=sample_rate, n_fft=window, win_length=window, hop_length=window // 4, n_mels=bands, fmin=0,
            fmax=None, log="log10", floor=1e-5, epsilon=0, padding="center",
        )
        for bands, window in SCALES
    )  # fmt: skip


def mel_distance(fake: Tensor, real: Tensor, mels: Sequence[MelConfig]) -> Tensor:
    """(B, T) twice -> (B): the mean absolute difference in each convention, summed over the conventions."""
    found = [(mel_spectrogram(fake, mel) - mel_spectrogram(real, mel)).abs().mean((1, 2)) for mel in mels]
    return torch.stack(found).sum(0)
