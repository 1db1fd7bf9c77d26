"""Feature extractors of the core: mel and linear spectrograms in torch, batched, differentiable, on any device."""

from amphion_core.features.linear import LinearSpectrogram, linear_spectrogram
from amphion_core.features.mel import MelSpectrogram, mel_filterbank, mel_spectrogram

__all__ = ["LinearSpectrogram", "MelSpectrogram", "linear_spectrogram", "mel_filterbank", "mel_spectrogram"]
