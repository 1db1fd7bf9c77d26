"""Loudness: the definition, silence, padding, and conventions without magnitudes."""

import pytest
import torch

from amphion_core.api import FeaturePart, MelConfig
from amphion_core.features.mel import mel_spectrogram


def test_it_is_the_norm_of_the_mel_magnitudes():
    mel = MelConfig.preset("amphion_24k_100")
    wave = torch.randn(1, 4800, generator=torch.Generator().manual_seed(0)) * 0.1
    expected = (mel_spectrogram(wave, mel).double().exp() ** 2).sum(1, keepdim=True).sqrt()
    found = FeaturePart.named("loudness").build().extract(wave)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)  # float32 against float64


def test_the_logarithm_of_the_convention_does_not_matter():
    wave = torch.randn(1, 4800, generator=torch.Generator().manual_seed(0)) * 0.1
    ln, log10 = (
        FeaturePart.named("loudness", mel={"preset": "amphion_24k_100", "log": log}).build().extract(wave)
        for log in ("ln", "log10")
    )
    torch.testing.assert_close(ln, log10, rtol=1e-5, atol=0)


def test_silence_is_the_floor_of_all_bands():
    mel = MelConfig.preset("amphion_24k_100").replace(epsilon=0.0)
    found = FeaturePart.named("loudness", mel=mel).build().extract(torch.zeros(1, 4800))
    torch.testing.assert_close(found, torch.full_like(found, 1e-5 * 10))


def test_a_convention_without_magnitudes_is_refused():
    with pytest.raises(ValueError, match=r"mel.log: unit_db is limited to 0..1"):
        FeaturePart.named("loudness", mel="wavernn_22k_80")
