"""Augmentations: measured effects agree with the config, results depend on the seed only, bad input is an error."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.signal import sosfreqz, welch

from amphion_core.api import Audio, Augmentation, AugmentationConfig, AugmentationPart, MelConfig
from amphion_core.augmentations.equalizer import SHELF_Q, Equalizer, biquad
from amphion_core.augmentations.gain import Gain
from amphion_core.augmentations.noise import Noise, pink
from amphion_core.augmentations.pitch import Pitch, stretched
from amphion_core.augmentations.speed import Speed
from amphion_core.config import validate
from amphion_core.errors import AudioError, DataError, MissingPackage, RecipeError
from amphion_core.registry import ComponentRef, temporary
from amphion_core.testing.base import CheckFailed
from amphion_core.testing.checks import check_config
from amphion_core.testing.kind_checks import check_augmentation

needs_world = pytest.mark.skipif(not find_spec("pyworld"), reason='pip install "amphion-core[f0]"')
EVERY = [Equalizer, Gain, Noise, pytest.param(Pitch, marks=needs_world), Speed]
every = pytest.mark.parametrize("component", EVERY)
RATE = 22050


def apply(component, samples, seed=0, rate=RATE, **fields):
    made = component(component.Config(**fields)).apply(samples, rate, np.random.default_rng(seed))
    assert made.dtype == np.float32 and np.isfinite(made).all()
    return made


def reference(component):
    name = component.__name__
    target = f"{component.__module__}:{name}"
    return ComponentRef("augmentations", name.lower(), target, "amphion-core", "0.1.0", "", "amphion_core.api:v1")


@pytest.fixture(scope="module")
def speech(data_pack):
    return Audio.load(sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[4]).mono().samples[: 2 * RATE]


@every
def test_the_conformance_kit_passes(component):
    check_config(reference(component))
    check_augmentation(reference(component))


@every
def test_one_seed_gives_one_result_and_another_seed_another(component, speech):
    one, same, other = (apply(component, speech[:RATE], seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@every
def test_probability_is_the_share_that_is_changed(component):
    samples = np.sin(np.arange(50, dtype=np.float32) * 0.5)
    half, random = component(component.Config(probability=0.3)), np.random.default_rng(0)
    half.change = lambda samples, rate, random: -samples
    changed = sum(half.apply(samples, RATE, random)[1] < 0 for _ in range(1000))
    assert abs(changed - 300) < 60  # 4 standard deviations


@every
@pytest.mark.parametrize("samples", [np.zeros(5000), np.zeros(1), np.full(3, 0.1), np.full(4000, 1e-30)])
def test_silence_and_a_few_samples_stay_finite(component, samples):
    assert apply(component, samples).size


@every
@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 100))])
def test_what_is_not_mono_samples_is_refused(component, samples):
    with pytest.raises(AudioError, match="an augmentation takes"):
        apply(component, samples)


def test_gain_is_drawn_within_its_decibels():
    ones = np.ones(4, np.float32)
    drawn = [20 * np.log10(apply(Gain, ones, seed, low=-10, high=-2)[0]) for seed in range(300)]
    assert -10 <= min(drawn) < -9.8 and -2.2 < max(drawn) <= -2 and abs(np.mean(drawn) + 6) < 0.6
    assert apply(Gain, ones, low=6, high=6)[0] == pytest.approx(10**0.3)


@pytest.mark.parametrize("fields", [{"color": "white"}, {"color": "pink"}, {"folder": True}])
@pytest.mark.parametrize("ratio", [-5, 0, 20])
def test_noise_has_the_ratio_of_the_config(fields, ratio, speech, data_pack):
    if "folder" in fields:
        fields = {"folder": str(data_pack / "soundfx/audio")}
    added = apply(Noise, speech, low=ratio, high=ratio, **fields).astype(np.float64) - speech
    assert 10 * np.log10(np.square(speech).mean() / np.square(added).mean()) == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(("slope", "color"), [(0, lambda white: white), (-1, pink)])
def test_the_power_of_pink_noise_falls_as_one_over_f(slope, color):
    frequencies, power = welch(color(np.random.default_rng(0).standard_normal(1 << 17)), 1.0, nperseg=2048)
    middle = (frequencies > 0.005) & (frequencies < 0.4)
    assert np.polyfit(np.log(frequencies[middle]), np.log(power[middle]), 1)[0] == pytest.approx(slope, abs=0.05)


def test_noise_comes_from_any_part_of_any_file_and_is_repeated(tmp_path):
    (tmp_path / "deep").mkdir()
    Audio(np.full(40, 0.5, np.float32), 8000).save(tmp_path / "deep/short.wav")
    Audio(np.stack([np.linspace(-0.5, -0.1, 9000)] * 2).astype(np.float32), 8000).save(tmp_path / "long.wav")
    (tmp_path / "readme.txt").write_text("no audio")
    quiet = np.full(900, 1e-4, np.float32)
    made = [apply(Noise, quiet, seed, rate=8000, folder=str(tmp_path), low=-40, high=-40) - quiet for seed in range(20)]
    assert all(len(each) == 900 for each in made)
    assert {bool(each.mean() > 0) for each in made} == {True, False}
    slopes = {round(float(each[0] / each[-1]), 3) for each in made if each.mean() < 0}
    assert len(slopes) > 3  # pieces of other positions


def test_an_unusable_folder_of_noise_is_an_error(tmp_path, speech):
    with pytest.raises(DataError, match="contains no audio"):
        apply(Noise, speech, folder=str(tmp_path / "absent"))
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"bad\.wav cannot be read: not readable"):
        apply(Noise, speech, folder=str(tmp_path))


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.1, 1.37, 2.0])
@pytest.mark.parametrize("size", [22050, 9973, 7])
def test_speed_changes_the_duration_exactly_and_the_pitch_with_it(factor, size):
    made = apply(Speed, np.sin(np.arange(size) * 0.1).astype(np.float32), low=factor, high=factor)
    assert len(made) == round(size / factor)
    if size > 100:
        expected = np.sin(np.arange(len(made)) * 0.1 * factor)
        np.testing.assert_allclose(made[300:-300], expected[300:-300], atol=2e-3)  # away from the ends


def f0_of(samples):
    from amphion_core.features.f0_harvest import F0Harvest

    mel = MelConfig.preset("hifigan_22k_80")
    return F0Harvest(F0Harvest.Config(mel=mel)).extract(torch.from_numpy(samples)[None])[0, 0].numpy()


def mean_envelope(samples):
    """The mean over voiced frames of the spectral envelope in dB, (bins,)."""
    import pyworld

    wave = samples.astype(np.float64)
    f0, times = pyworld.harvest(wave, RATE)
    return 10 * np.log10(pyworld.cheaptrick(wave, f0, times, RATE))[f0 > 0].mean(0)


@needs_world
@pytest.mark.parametrize("semitones", [-5, 0, 4])
def test_pitch_moves_f0_by_the_semitones_of_the_config(semitones, speech):
    made = apply(Pitch, speech, low=semitones, high=semitones)
    before, after = f0_of(speech), f0_of(made)
    both = (before > 0) & (after > 0)
    moved = 12 * np.log2(after[both] / before[both])
    assert both.mean() > 0.5 and np.median(moved) == pytest.approx(semitones, abs=0.1)
    assert (
        np.abs(moved - semitones) < 0.5
    ).mean() > 0.7  # measured .82 to .84; the rest is where voice begins and ends


@needs_world
@pytest.mark.parametrize("semitones", [-3, 3])
def test_formants_move_and_f0_stays(semitones, speech):
    fields = {"low": 0, "high": 0, "formant_low": semitones, "formant_high": semitones}
    made, plain = apply(Pitch, speech, **fields), apply(Pitch, speech, low=0, high=0)
    before, after = f0_of(plain), f0_of(made)
    both = (before > 0) & (after > 0)
    assert np.median(12 * np.log2(after[both] / before[both])) == pytest.approx(0, abs=0.05)
    one, two = (mean_envelope(each) for each in (plain, made))
    frequencies = np.linspace(0, RATE / 2, len(one))
    octaves = np.arange(np.log2(300), np.log2(5000), 1 / 48)  # the spectrum moves along this axis
    one, two = (np.interp(2**octaves, frequencies, each) for each in (one, two))
    shifts = np.arange(-24, 25)
    distance = [np.std(two[24 + s : len(two) - 24 + s] - one[24:-24]) for s in shifts]
    assert shifts[int(np.argmin(distance))] / 4 == pytest.approx(semitones, abs=0.5)


def test_a_stretched_envelope_has_its_peak_at_the_scaled_frequency():
    bins = np.arange(513)
    envelope = np.exp(-np.square((bins - 200) / 30))[None] + 1e-3
    assert stretched(envelope, 1.25)[0].argmax() == 250 and stretched(envelope, 0.8)[0].argmax() == 160
    assert stretched(envelope, 0.5)[0, -1] == pytest.approx(envelope[0, -1])


@needs_world
def test_the_level_stays_when_pitch_moves(speech):
    made = apply(Pitch, speech, low=3, high=3)
    assert 10 * np.log10(np.square(made).mean() / np.square(speech).mean()) == pytest.approx(0, abs=2)


@needs_world
def test_pitch_refuses_low_rates(speech):
    with pytest.raises(AudioError, match="WORLD needs at least 16000 Hz, these samples have 8000"):
        apply(Pitch, speech, rate=8000)


def test_pitch_without_its_package_names_the_line_that_installs_it(speech, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(MissingPackage) as caught:
        apply(Pitch, speech)
    assert caught.value.hint == 'pip install "amphion-core[f0]"'


@pytest.mark.parametrize("gain", [-9.0, 6.0])
@pytest.mark.parametrize("frequency", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("form", ["peak", "low_shelf", "high_shelf"])
def test_a_filter_has_its_gain_at_its_frequency(form, frequency, gain):
    row = np.array([biquad(form, frequency, gain, SHELF_Q)])
    _, response = sosfreqz(row, worN=2 * np.pi * np.array([0, frequency, 0.5]))
    expected = {"peak": [0, gain, 0], "low_shelf": [gain, gain / 2, 0], "high_shelf": [0, gain / 2, gain]}[form]
    np.testing.assert_allclose(20 * np.log10(np.abs(response)), expected, atol=1e-9)
    assert np.abs(np.roots(row[0, 3:])).max() < 1  # stable


def test_the_equalizers_filters_stay_within_their_gain():
    impulse = np.zeros(1 << 15, np.float32)
    impulse[0] = 1
    for seed in range(20):
        spectrum = 20 * np.log10(np.abs(np.fft.rfft(apply(Equalizer, impulse, seed, peaks=1, shelves=False, gain=9))))
        assert 0.1 < np.abs(spectrum).max() <= 9.001
    assert np.array_equal(apply(Equalizer, impulse, peaks=0, shelves=False), impulse)
    assert np.abs(apply(Equalizer, impulse, rate=8000, fmin=7000, fmax=8000)).max() < 100  # above half the rate


@pytest.mark.parametrize(
    ("component", "fields", "message"),
    [
        (Gain, {"low": 3, "high": 1}, r"low: 3.0 dB is above high 1.0 dB"),
        (Noise, {"low": 50}, r"low: 50.0 dB is above high 40.0 dB"),
        (Noise, {"color": "brown"}, "color: input should be 'white' or 'pink'"),
        (Speed, {"low": 0}, "low: input should be greater than or equal to 0.25"),
        (Speed, {"low": 1.2}, "low: the factor 1.2 is above high 1.1"),
        (Pitch, {"low": 5}, "low: 5.0 semitones is above high 4.0"),
        (Pitch, {"formant_low": 1}, "formant_low: 1.0 semitones is above formant_high 0.0"),
        (Equalizer, {"fmin": 9000}, "fmin: 9000.0 Hz is above fmax 8000.0 Hz"),
        (Equalizer, {"q_low": 4}, "q_low: 4.0 is above q_high 3.0"),
        (Gain, {"probability": 1.5}, "probability: input should be less than or equal to 1"),
    ],
)
def test_the_error_of_a_wrong_config_names_the_field(component, fields, message):
    with pytest.raises(RecipeError, match=message):
        validate(component.Config, fields)


def test_a_part_holds_an_augmentation_by_name():
    with temporary(reference(Gain)):
        part = AugmentationPart.named("gain", low=-3.0, high=-3.0)
        assert part.flat() == {"name": "gain", "low": -3.0, "high": -3.0}
        made = part.build().apply(np.ones(3, np.float32), RATE, np.random.default_rng(0))
    assert made == pytest.approx(10**-0.15)


class Careless(Augmentation):
    """An augmentation that breaks one rule of the interface."""

    Config = AugmentationConfig
    keeps_length = True
    broken = "chance"

    def change(self, samples, sample_rate, random):
        if self.broken == "chance":
            return samples * np.random.default_rng().random()
        if self.broken == "input":
            samples *= 2
            return samples
        if self.broken == "length":
            return samples.repeat(2)
        return samples / 0.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("chance", "give different results"),
        ("input", "given to apply are changed"),
        ("length", "samples become"),
        ("value", "not finite"),
    ],
)
def test_the_conformance_kit_finds_what_is_wrong(broken, message, monkeypatch):
    monkeypatch.setattr(Careless, "broken", broken)
    monkeypatch.setattr(ComponentRef, "load", lambda ref: Careless)
    with pytest.raises(CheckFailed, match=message):
        check_augmentation(reference(Careless))
