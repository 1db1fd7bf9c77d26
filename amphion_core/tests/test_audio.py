"""Audio and files: round trips, loudness, and what cannot be read or written; nothing half-written is left."""

import errno

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings, strategies as st

from amphion_core.api import Audio
from amphion_core.errors import AmphionError, AudioError


def tone(rate=22050, seconds=1.0, level=0.3):
    return Audio((level * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32), rate)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.05), (".mp3", 0.05)])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_comes_back(tmp_path, suffix, tolerance, channels):
    samples = tone().samples if channels == 1 else np.stack([tone().samples, tone(level=0.1).samples])
    path = Audio(samples, 22050).save(tmp_path / f"a{suffix}")
    again = Audio.load(path)
    assert again.sample_rate == 22050 and again.samples.ndim == channels
    size = min(again.samples.shape[-1], samples.shape[-1])
    assert abs(again.samples.shape[-1] - samples.shape[-1]) < 3000  # mp3 pads to its frames
    middle = slice(size // 4, size // 2)
    assert abs(again.samples[..., middle].std() - samples[..., middle].std()) < tolerance
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([8000, 16000, 22050, 44100]),
    target=st.sampled_from([8000, 16000, 24000, 48000]),
    size=st.integers(1, 3000),
)
def test_resampling_keeps_the_duration(rate, target, size):
    made = Audio(np.zeros(size, np.float32), rate).resample(target)
    assert abs(len(made.samples) - size * target / rate) <= 2


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_loudness_equals_pyloudnorm(data_pack, rate):
    import pyloudnorm

    clip = Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[0]).resample(rate)
    # pyloudnorm's high pass is 0.04 dB below the standard's coefficients, and it cuts the blocks elsewhere
    assert clip.loudness() == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(clip.samples), abs=0.15)
    assert clip.normalize(-20).loudness() == pytest.approx(-20, abs=0.01)


def test_the_weighting_is_the_standards_filter():
    from scipy.signal import lfilter

    from amphion_core.audio import _HIGH_PASS, _SHELF, _k_weighted

    wave = np.random.default_rng(0).standard_normal((1, 20000))
    expected = lfilter(*_HIGH_PASS, lfilter(*_SHELF, wave))
    np.testing.assert_allclose(_k_weighted(wave), expected, atol=1e-9)


def test_the_loudness_of_the_standards_test_tone():
    """A 997 Hz sine of full scale in one channel is -3.01 LUFS (BS.1770-4, annex 1)."""
    wave = np.sin(2 * np.pi * 997 * np.arange(48000 * 2) / 48000).astype(np.float32)
    assert Audio(wave, 48000).loudness() == pytest.approx(-3.01, abs=0.02)
    assert Audio(np.zeros(48000, np.float32), 48000).loudness() == -np.inf


def test_joining_and_playing():
    two = Audio.concatenate([tone(seconds=0.5), tone(seconds=0.25)])
    assert two.duration == pytest.approx(0.75, abs=1e-3)
    assert "data:audio/wav;base64," in two._repr_html_()
    with pytest.raises(AudioError, match="one rate"):
        Audio.concatenate([tone(), tone(16000)])


def test_unusable_files_have_a_reason(tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "inf.wav", np.array([0.0, -np.inf]), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "integers.wav", np.array([0.0, -11532.0]), 16000, subtype="FLOAT")
    for name, message in (
        ("none.wav", "there is no such file"),
        ("text.wav", "not readable"),
        ("empty.wav", "no samples"),
        ("nan.wav", "NaN"),
        ("inf.wav", "infinite"),
        ("integers.wav", "the peak is 11,532, but full scale is 1"),
    ):
        with pytest.raises(AudioError, match=message) as caught:
            Audio.load(tmp_path / name)
        assert name in caught.value.message and caught.value.hint


def test_audio_that_cannot_be_saved_has_a_reason_and_leaves_no_file(tmp_path):
    for audio, name, message in (
        (tone(), "a.xyz", "no audio format"),
        (Audio(np.zeros(0, np.float32), 16000), "a.wav", "empty"),
        (Audio(np.array([np.inf], np.float32), 16000), "a.wav", "not finite"),
        (tone(), "missing/a.wav", "no folder"),
    ):
        with pytest.raises(AmphionError, match=message):
            audio.save(tmp_path / name)
    (tmp_path / "file").write_text("x")
    with pytest.raises(AmphionError, match="part of its path is a file"):
        tone().save(tmp_path / "file" / "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_long_vorbis_files_are_written(tmp_path):  # in one call, libsndfile ends the process
    Audio(np.zeros((2, 44100 * 180), np.float32), 44100).save(tmp_path / "long.ogg")
    assert Audio.load(tmp_path / "long.ogg").duration == pytest.approx(180, abs=0.1)


def test_normalising_never_clips():
    samples = np.full(48000, 1e-4, np.float32) * tone(48000).samples
    samples[1000] = 0.9
    assert 0.99 < Audio(samples, 48000).normalize(-16).peak <= 1


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = tone().save(tmp_path / "a.wav")
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(AmphionError, match="the disk is full"):
        tone(level=0.1).save(path)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["a.wav"]


def test_clipping_warns(tmp_path):
    with pytest.warns(UserWarning, match="clipped"):
        tone(level=1.5).save(tmp_path / "a.wav")
    assert Audio.load(tmp_path / "a.wav").peak <= 1


@pytest.mark.parametrize(
    "rate", [0, -16000, float("nan"), float("inf"), 22050.5, True, None, "16000", 10**30, 768_001, np.float64("nan")]
)
def test_a_rate_that_no_audio_has_is_refused(rate):
    with pytest.raises(AudioError, match=r"a sample rate of .* Hz"):
        Audio(np.zeros(10, np.float32), rate)
    with pytest.raises(AudioError, match=r"a sample rate of .* Hz"):
        tone().resample(rate)


def test_a_whole_rate_becomes_an_int():
    for rate in (22050, 22050.0, np.int64(22050), np.float32(22050)):
        found = Audio([0.0, 0.5], rate).sample_rate
        assert found == 22050 and type(found) is int


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(4, np.complex64), "samples of type complex64"),
        (np.array([None, 1.0], object), "samples of type object"),
        (np.zeros(4, bool), "samples of type bool"),
        ("x", "samples of type <U1"),
        (b"x", "samples of type"),
        (None, "samples of type object"),
        ({"a": 1}, "samples of type object"),
        ([[1.0], [1.0, 2.0]], "samples that are no array"),
        (0.5, r"audio of shape \(\)"),
        (np.zeros((2, 2, 2)), r"audio of shape \(2, 2, 2\)"),
        (np.array([0, 11532], np.int16), "samples that are integers, beyond full scale"),
    ],
)
def test_samples_that_are_no_audio_are_refused(samples, message):
    with pytest.raises(AudioError, match=message):
        Audio(samples, 16000)


def test_lists_and_doubles_become_float32():
    for samples in ([0.0, 1.0], [0, 1], np.zeros(2), np.zeros(2, np.float16)):
        assert Audio(samples, 16000).samples.dtype == np.float32


@pytest.mark.parametrize("path", [5, None, ["a.wav"], b"a.wav"])
def test_a_path_that_is_no_path_is_refused(path):
    for call in (Audio.load, tone().save, Audio.check_target):
        with pytest.raises(AudioError, match="is not the path of a file"):
            call(path)
