"""M-STFT compared with auraloss and librosa, and signals for which it is not defined."""

import librosa
import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_eval.metrics.m_stft import BLOCK, MSTFT, RESOLUTIONS


def metric(**fields):
    return MSTFT(MSTFT.Config(**fields))


def audio(samples, rate=24000):
    return Audio(np.asarray(samples, np.float32), rate)


def test_reference_numbers(golden):
    case = golden("metrics", framework="numpy")
    ref, deg, expected = audio(case["inputs"]["ref"]), audio(case["inputs"]["deg"]), case["outputs"]
    assert metric().score(deg, ref) == pytest.approx(expected["auraloss_mrstft_default"], rel=1e-4)
    score = metric(definition="amphion_v01").measure(deg, ref)
    parts = [score.details["spectral_convergence"], score.details["log_magnitude"], score.value]
    assert parts == pytest.approx(expected["amphion_mstft_rect"], rel=1e-4)


def test_blocks_give_the_value_of_the_whole_spectrogram():
    """A recording of several blocks; librosa computes the whole one in double precision."""
    random = np.random.default_rng(0)
    s = random.standard_normal(60000) * np.linspace(0.01, 0.3, 60000)
    x = s + 0.02 * random.standard_normal(60000)
    assert len(s) / 50 * 512 > BLOCK
    expected = []
    for n_fft, hop, length in RESOLUTIONS:
        fields = {"n_fft": n_fft, "hop_length": hop, "win_length": length, "pad_mode": "reflect"}
        a, b = (np.sqrt(np.maximum(np.abs(librosa.stft(wave, **fields)) ** 2, 1e-8)) for wave in (s, x))
        expected.append(np.linalg.norm(a - b) / np.linalg.norm(a) + np.abs(np.log(a / b)).mean())
    assert metric().score(audio(x), audio(s)) == pytest.approx(np.mean(expected), rel=1e-4)


def test_identity_is_zero_and_more_noise_is_farther(data_pack):
    clean = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3])
    noise = np.random.default_rng(0).standard_normal(len(clean.samples)).astype(np.float32)
    noisy = [Audio(clean.samples + level * noise, clean.sample_rate) for level in (0, 0.003, 0.03)]
    scores = [metric().score(each, clean) for each in noisy]
    assert scores[0] == 0 and scores == sorted(scores)


def test_the_reference_is_the_second_audio():
    quiet, loud = audio(np.sin(np.arange(24000) * 0.1) * 0.1), audio(np.sin(np.arange(24000) * 0.1) * 0.2)
    parts = [
        metric().measure(one, other).details["spectral_convergence"] for one, other in ((quiet, loud), (loud, quiet))
    ]
    assert parts == pytest.approx([0.5, 1.0], rel=1e-3)  # |A - B| / |A| for magnitudes of 2 and 1


@pytest.mark.parametrize("samples", [np.zeros(16000), np.zeros(0), np.ones(1024), np.full(16000, np.nan)])
def test_what_is_not_defined_has_a_reason(samples):
    with pytest.raises(DataError):
        metric().score(audio(samples), audio(np.sin(np.arange(16000) * 0.05) * 0.1))
