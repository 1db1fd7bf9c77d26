"""svc/world: analysis and synthesis agree, formants move where they should, F0 is the requested one."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Audio, FeaturePart, MelConfig
from amphion_core.errors import DataError
from amphion_core.features.f0_dio import refined_dio
from amphion_svc.models.world import World, formant_factor, smoothed, stretched
from amphion_svc.world_sizes import WORLD_MEL

RATE = 24000


def convert(audio, target=None, *, semitones=0.0, mel=WORLD_MEL, **controls):
    """svc/world on one recording; its own voice is the target unless one is given."""
    net = amphion.build("svc/world", mel=mel.model_dump()).for_inference()
    wave = torch.from_numpy(audio.samples.copy())[None]
    features = {name: part.build().extract(wave) for name, part in net.features.items()}
    voice = features["voice"]
    if target is not None:
        voice = net.voice_feature.build().extract(torch.from_numpy(target.samples.copy())[None])
    f0 = net.pitch_feature.build().extract(wave)[:, 0] * 2 ** (semitones / 12)
    lengths = torch.tensor([mel.frames(wave.shape[1])])
    made = net.convert(features, lengths, voice, f0=f0, controls=net.controls(controls))
    return Audio(made.wave[0].numpy(), RATE), f0[0].numpy()


def cents(audio, wanted, mel=WORLD_MEL):
    """Cents between F0 of an audio and F0 in the frames of the mel, where both are voiced."""
    part = FeaturePart.named("f0_dio", mel=mel)
    found = part.build().extract(torch.from_numpy(audio.samples.copy())[None])[0, 0].numpy()
    both = (found[: len(wanted)] > 0) & (wanted[: len(found)] > 0)
    assert both.mean() > 0.3
    return 1200 * np.log2(found[: len(wanted)][both] / wanted[: len(found)][both])


def difference(one, other):
    """Mean difference of the mean envelopes of two audios in dB, up to 8 kHz, without that of their levels."""
    envelope = FeaturePart.named("world_voice").build()
    a, b = (envelope.extract(torch.from_numpy(each.samples.copy())[None])[0].numpy() for each in (one, other))
    found = (a - b)[np.linspace(0, RATE / 2, len(a)) < 8000] * 10 / np.log(10)
    return np.abs(found - found.mean()).mean()


@pytest.mark.parametrize("semitones", [0, 5, -3])
def test_the_f0_of_a_converted_song_is_that_of_the_shifted_source(song, singer, semitones):
    made, wanted = convert(song, singer, semitones=semitones)
    assert np.median(np.abs(cents(made, wanted))) < 20


def test_the_own_voice_stays_the_same(song):
    made, wanted = convert(song)
    assert abs(np.median(cents(made, wanted))) < 2
    assert difference(song, made) < 0.8  # dB; 0.4 were measured


@pytest.mark.parametrize("mel", [WORLD_MEL, WORLD_MEL.replace(padding="center"), MelConfig.preset("amphion_24k_100")])
def test_a_converted_sound_begins_when_its_source_begins(hum, mel):
    quiet = np.zeros(RATE // 2, np.float32)
    source = Audio(np.concatenate([quiet, hum[0].samples]), RATE)
    made, _ = convert(source, mel=mel)
    curves = [np.square(each.samples[: RATE + RATE // 2]).reshape(-1, 60).sum(1) for each in (source, made)]
    starts = [np.flatnonzero(curve > 0.05 * np.median(curve[-100:]))[0] * 60 / RATE for curve in curves]
    assert starts[1] == pytest.approx(starts[0], abs=0.012)  # seconds; a window of WORLD has three periods of 7 ms


def test_the_mean_envelope_becomes_that_of_the_target(hum):
    source, target = hum
    made, _ = convert(source, target, semitones=7)
    assert difference(made, target) < 0.5 * difference(source, target)  # 1.0 and 4.3 dB were measured


def test_the_formants_of_two_vowels_give_the_factor_between_them(hum):
    envelope = FeaturePart.named("world_voice").build()
    low, high = (envelope.extract(torch.from_numpy(each.samples.copy())[None])[0].numpy() for each in hum)
    assert formant_factor(low, high, RATE) == pytest.approx(1.1, abs=0.04)
    assert formant_factor(low, low, RATE) == pytest.approx(1.0, abs=1e-6)


def test_a_stretched_envelope_has_its_peak_at_the_multiple():
    envelope = -np.abs(np.arange(400.0) - 100)[:, None]
    assert stretched(envelope, 1.25)[:, 0].argmax() == 125
    np.testing.assert_array_equal(stretched(envelope, 1.0), envelope)


def test_smoothing_keeps_slow_cosines_and_removes_fast_ones():
    slow, fast = (np.cos(np.pi * np.arange(513) / 512 * k) for k in (3, 60))
    np.testing.assert_allclose(smoothed(slow + fast, 40), slow, atol=1e-12)
    np.testing.assert_allclose(smoothed(slow, 40, 4), 0, atol=1e-12)


def test_a_conversion_without_f0_or_with_a_number_as_speaker_is_refused():
    net = amphion.build("svc/world", **World.example_config().model_dump()).for_inference()
    inputs = net.example_inputs()
    with pytest.raises(DataError, match="needs F0"):
        net.convert(inputs["features"], inputs["lengths"], inputs["speaker"])
    with pytest.raises(DataError, match="vector of a recording"):
        net.convert(inputs["features"], inputs["lengths"], torch.tensor([0, 1]), f0=inputs["f0"])


def test_the_tracker_of_the_analysis_is_a_choice():
    net = amphion.build("svc/world", f0="f0_harvest")
    assert net.pitch_feature.name == "f0_harvest" and net.features["frames"].config.f0 == "f0_harvest"


def test_the_envelope_follows_the_tracker(hum):
    f0, times = refined_dio(hum[0].samples.astype(np.float64), RATE)
    frames = FeaturePart.named("world").build()
    found, _ = frames.analyse(torch.from_numpy(hum[0].samples))
    voiced = found[found > 0]
    assert len(times) == pytest.approx(len(found), abs=2)
    assert np.median(voiced) == pytest.approx(np.median(f0[f0 > 0]), rel=1e-3)
