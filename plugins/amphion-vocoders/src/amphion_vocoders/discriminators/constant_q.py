"""Constant-Q transform in torch, octave by octave: the filters of the top octave, on audio of half the rate each time.

Brown: "Calculation of a constant Q spectral transform", JASA 89 (1991); Schoerkhuber and Klapuri: "Constant-Q transform
toolbox for music processing" (2010), section 3, for the recursion. Filters, lowpass and scaling are those of nnAudio's
CQT2010v2, because published discriminators were trained with them. ``resample`` is torchaudio's Hann-windowed sinc.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOWPASS_TAPS = 256
TRANSITION = 0.001  # half the width of the lowpass's transition band, relative to its cutoff
SINC_ZEROS, ROLLOFF = 6, 0.99  # torchaudio's defaults: zero crossings of the sinc, cutoff relative to half the rate


class ConstantQ(nn.Module):
    """Complex constant-Q spectra: (B, T) at ``sample_rate`` Hz -> (B, 2, bins, N), real and imaginary part.

    N = T // hop + 1; frame n is centred on sample n * hop. There are octaves * bins_per_octave bins, from ``fmin`` Hz
    upwards. A filter's absolute sum is the square root of its length in samples at the full rate.
    Raises ValueError when an octave's hop is not a whole number, or the top frequency is above half the rate.
    """

    real: Tensor
    imaginary: Tensor
    lowpass: Tensor
    scale: Tensor

    def __init__(self, sample_rate: int, hop: int, octaves: int, bins_per_octave: int, fmin: float = 32.7) -> None:
        super().__init__()
        self.hop, self.octaves = hop, octaves
        check(sample_rate, hop, octaves, fmin)
        quality = 1 / (2 ** (1 / bins_per_octave) - 1)
        with torch.device("cpu"):  # the filters' sizes depend on values, which the meta device does not have
            every = fmin * 2 ** (torch.arange(octaves * bins_per_octave, dtype=torch.float64) / bins_per_octave)
            kernels = filters(every[-bins_per_octave:], sample_rate, quality)
            lengths = torch.ceil(quality * sample_rate / every)
            self.register_buffer("lowpass", halfband_lowpass()[None, None], persistent=False)
        self.register_buffer("real", kernels.real.float()[:, None], persistent=False)
        self.register_buffer("imaginary", kernels.imag.float()[:, None], persistent=False)
        self.register_buffer("scale", lengths.sqrt().float()[:, None], persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """(B, T) -> (B, 2, bins, N), float32."""
        with torch.autocast(wave.device.type, enabled=False):
            x, hop, found = wave.float()[:, None], self.hop, []
            for octave in range(self.octaves):
                if octave:
                    x, hop = F.conv1d(x, self.lowpass, stride=2, padding=(LOWPASS_TAPS - 1) // 2), hop // 2
                around = self.real.shape[2] // 2
                padded = F.pad(x, (around, around))
                parts = [F.conv1d(padded, self.real, stride=hop), -F.conv1d(padded, self.imaginary, stride=hop)]
                found.append(torch.stack(parts, 1))  # (B, 2, bins_per_octave, N)
            return torch.cat(found[::-1], 2) * self.scale


def check(sample_rate: int, hop: int, octaves: int, fmin: float) -> None:
    """Raise ValueError for a transform that cannot be computed."""
    if hop % 2 ** (octaves - 1):
        raise ValueError(f"hop: {hop} is not a multiple of {2 ** (octaves - 1)}, which {octaves} octaves need")
    if fmin * 2**octaves > sample_rate / 2:
        top = fmin * 2**octaves
        raise ValueError(f"octaves: the top, {top:.0f} Hz, is above half the rate, {sample_rate / 2:.0f} Hz")


def filters(frequencies: Tensor, sample_rate: int, quality: float) -> Tensor:
    """Windowed complex exponentials (bins, width), centred, each with an absolute sum of 1; width is a power of 2."""
    lengths = torch.ceil(quality * sample_rate / frequencies).long().tolist()
    width = 2 ** math.ceil(math.log2(max(lengths)))
    kernels = torch.zeros(len(lengths), width, dtype=torch.complex128)
    for row, (frequency, length) in enumerate(zip(frequencies.tolist(), lengths, strict=True)):
        start = math.ceil(width / 2 - length / 2) - length % 2
        time = torch.arange(length, dtype=torch.float64) - (length + 1) // 2  # samples
        window = torch.hann_window(length, dtype=torch.float64)
        one = torch.polar(window / length, 2 * math.pi * frequency / sample_rate * time)
        kernels[row, start : start + length] = one / one.abs().sum()
    return kernels


def halfband_lowpass() -> Tensor:
    """A lowpass filter (256,) at half of the band, float32: designed by frequency sampling with a Hamming window."""
    frequencies = torch.linspace(0, 1, LOWPASS_TAPS + 1, dtype=torch.float64)
    low, high = 0.5 / (1 + TRANSITION), 0.5 * (1 + TRANSITION)
    gain = ((high - frequencies) / (high - low)).clamp(0, 1)
    delay = (LOWPASS_TAPS - 1) / 2
    response = torch.fft.irfft(torch.polar(gain, -delay * math.pi * frequencies))[:LOWPASS_TAPS]
    return (response * torch.hamming_window(LOWPASS_TAPS, periodic=False, dtype=torch.float64)).float()


def resample(wave: Tensor, factors: tuple[int, int]) -> Tensor:
    """(B, T) -> (B, ceil(T * new / old)); ``factors`` (old, new) have no common divisor. Differentiable."""
    old, new = factors
    base = min(old, new) * ROLLOFF
    width = math.ceil(SINC_ZEROS * old / base)
    samples = torch.arange(-width, width + old, dtype=torch.float64) / old
    time = (samples - torch.arange(new, dtype=torch.float64)[:, None] / new) * base
    time = time.clamp(-SINC_ZEROS, SINC_ZEROS)
    window = torch.cos(time * math.pi / SINC_ZEROS / 2) ** 2
    kernel = (torch.sinc(time) * window * base / old).to(wave)[:, None]  # (new, 1, taps)
    spread = F.conv1d(F.pad(wave[:, None], (width, width + old)), kernel, stride=old)  # (B, new, T / old)
    return spread.mT.flatten(1)[:, : math.ceil(wave.shape[1] * new / old)]
