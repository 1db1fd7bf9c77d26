"""Energy of frames: librosa, batches, gradients, silence."""

import numpy as np
import pytest
import torch

from amphion_core.api import MelConfig
from amphion_core.features.energy import Energy, energy
from amphion_core.registry import ComponentRef
from amphion_core.testing.checks import check_config
from amphion_core.testing.kind_checks import check_feature


@pytest.mark.parametrize("preset", ["tacotron2_22k_80", "hifigan_22k_80", "diffwave_22k_80", "apnet_16k_80"])
def test_it_is_the_norm_of_librosas_spectrum(preset):
    import librosa

    mel = MelConfig.preset(preset)
    wave = np.random.default_rng(0).standard_normal(9000).astype(np.float32) * 0.1
    window = {"n_fft": mel.n_fft, "hop_length": mel.hop_length, "win_length": mel.win_length, "center": False}
    spectrum = librosa.stft(np.pad(wave, mel.pad, mode="reflect"), **window)
    scale = np.sqrt(np.square(librosa.filters.get_window("hann", mel.win_length)).sum()) if mel.normalized else 1
    expected = np.linalg.norm(np.abs(spectrum), axis=0) / scale
    np.testing.assert_allclose(energy(torch.from_numpy(wave)[None], mel)[0, 0], expected, rtol=1e-4)


def test_power_and_epsilon_of_the_mel_do_not_count():
    wave, mel = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)), MelConfig.preset("vits_22k_80")
    torch.testing.assert_close(energy(wave, mel), energy(wave, mel.replace(power=2.0, epsilon=0.1)))


def test_silence_is_zero_and_its_gradient_finite():
    wave = torch.zeros(1, 4000, requires_grad=True)
    made = energy(wave, MelConfig.preset("tacotron2_22k_80"))
    made.sum().backward()
    assert made.shape == (1, 1, 16) and made.max() < 1e-9 and torch.isfinite(wave.grad).all()
    assert not energy(wave.detach(), MelConfig.preset("tacotron2_22k_80")).any()


def test_the_conformance_kit_passes():
    target = f"{Energy.__module__}:Energy"
    ref = ComponentRef("features", "energy", target, "amphion-core", "0.1", "", "amphion_core.api:v1")
    check_config(ref)
    check_feature(ref)
