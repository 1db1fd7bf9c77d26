"""DIO: the F0 of pyworld's, frame by frame, in every range; silence and audio too short to track."""

import warnings

import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.features.f0_dio import FMAX, FMIN, dio, refined_dio

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # by pyworld 0.3.5
    pyworld = pytest.importorskip("pyworld", reason='pip install "amphion-core[f0]"')

CLIPS = "kathleen_en/wavs/*.flac", "librispeech_mini/*/*/*.flac", "singing_ccby/audio/*.flac"


def clips(data_pack, rate):
    """Read speech, a reader of audio books and singing, up to 8 seconds each."""
    for name in CLIPS:
        clip = Audio.load(sorted(data_pack.glob(name))[1]).resample(rate)
        yield clip.samples[: 8 * rate].astype(np.float64)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_dio_is_pyworlds_at_every_rate(rate, data_pack):
    """Every frame. Both interpolate crossings of float64 signals, hence the tolerance."""
    for samples in clips(data_pack, rate):
        expected, expected_times = pyworld.dio(samples, rate)
        f0, times = dio(samples, rate)
        np.testing.assert_array_equal(times, expected_times)  # StoneMask rounds them to samples
        np.testing.assert_allclose(f0, expected, rtol=1e-8)
        assert (f0 > 0).any()


@pytest.mark.parametrize(("fmin", "fmax"), [(50.0, 1100.0), (100.0, 400.0), (60.0, 480.0)])
def test_dio_is_pyworlds_in_every_range(fmin, fmax, data_pack):
    for samples in clips(data_pack, 22050):
        expected, _ = pyworld.dio(samples, 22050, f0_floor=fmin, f0_ceil=fmax)
        np.testing.assert_allclose(dio(samples, 22050, fmin=fmin, fmax=fmax)[0], expected, rtol=1e-8)
        assert (expected > 0).any()


def test_the_default_range_is_pyworlds():
    assert (pyworld.default_f0_floor, pyworld.default_f0_ceil) == (FMIN, FMAX)


def test_stonemask_refines_the_frames_of_dio(data_pack):
    samples = next(clips(data_pack, 22050))
    f0, times = pyworld.dio(samples, 22050)
    refined, at = refined_dio(samples, 22050)
    np.testing.assert_array_equal(at, times)
    np.testing.assert_allclose(refined, pyworld.stonemask(samples, f0, times, 22050), rtol=1e-8)


def test_dio_is_pyworlds_about_digital_silence(data_pack):
    """A few frames at the edges of silence differ: pyworld evaluates the rounding errors of its FFT there."""
    speech = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[3]).samples.astype(np.float64)
    samples = np.concatenate([np.zeros(6000), speech[:30000], np.zeros(66150), speech[30000:50000], np.zeros(3000)])
    f0, expected = (track(samples, 22050)[0] for track in (dio, pyworld.dio))
    assert (np.abs(f0 - expected) > 1e-6).mean() < 0.005 and (f0 > 0).mean() > 0.1


@pytest.mark.parametrize("samples", [np.zeros(8000), np.ones(8000), np.zeros(1), np.ones(20), np.sin(np.arange(400))])
def test_a_signal_without_voice_has_no_f0(samples):
    f0, times = dio(samples, 16000)
    assert not f0.any() and len(f0) == len(times) == len(pyworld.dio(samples, 16000)[0])
