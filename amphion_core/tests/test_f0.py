"""F0: reference numbers, frame centres, real speech and singing, batches, silence, bad input, missing packages."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from amphion_core.api import Audio, MelConfig
from amphion_core.config import validate
from amphion_core.errors import AudioError, MissingPackage, RecipeError
from amphion_core.features.f0 import align_f0, frame_times, interpolate_f0
from amphion_core.features.f0_crepe import F0Crepe, _best_path
from amphion_core.features.f0_dio import F0Dio
from amphion_core.features.f0_harvest import F0Harvest
from amphion_core.features.f0_praat import F0Praat
from amphion_core.features.f0_swift import F0Swift
from amphion_core.registry import ComponentRef
from amphion_core.testing.checks import check_config
from amphion_core.testing.kind_checks import check_feature

TRACKERS = {
    "dio": (F0Dio, "pyworld", "f0"),
    "harvest": (F0Harvest, "pyworld", "f0"),
    "praat": (F0Praat, "parselmouth", "praat"),
    "swift": (F0Swift, "swift_f0", "swift"),
    "crepe": (F0Crepe, "torchcrepe", "crepe"),
}
MEL = MelConfig.preset("hifigan_22k_80")


def parameter(name):
    _, package, extra = TRACKERS[name]
    absent = not find_spec(package)
    return pytest.param(name, marks=pytest.mark.skipif(absent, reason=f'pip install "amphion-core[{extra}]"'))


every = pytest.mark.parametrize("name", [parameter(name) for name in TRACKERS])


def tracker(name, mel=MEL, **fields):
    component = TRACKERS[name][0]
    return component(component.Config(mel=mel, **({"size": "tiny"} if name == "crepe" else {}), **fields))


def voice(f0, rate):
    """A buzz whose F0 in Hz is given for every sample, (1, T)."""
    phase = 2 * np.pi * np.cumsum(f0) / rate
    return torch.tensor(sum(0.1 * np.sin(k * phase) / k for k in range(1, 15)), dtype=torch.float32)[None]


def cents(one, other):
    both = (one > 0) & (other > 0)
    return 1200 * np.log2(one[both] / other[both])


@every
def test_reference_numbers(name, golden):
    case = golden("f0", framework="numpy")
    mel = MelConfig(sample_rate=16000, hop_length=160, padding="center")
    f0 = tracker(name, mel).extract(torch.tensor(case["inputs"]["wav"])[None])[0, 0].numpy()
    truth = case["outputs"]["f_true"]
    off = cents(f0[: len(truth)], truth)
    assert len(off) == (truth > 0).sum() and np.median(np.abs(off)) < 10  # the case's tolerance; measured 0.2 to 3
    theirs = {"dio": "dio+stone", "harvest": "harvest", "praat": "parselmouth", "crepe": "crepe_tiny"}.get(name)
    if theirs:
        given = case["outputs"]["estimates"][theirs]
        known = align_f0(*(given[key].astype(np.float64) for key in ("times", "f0")), frame_times(mel, len(f0)))
        # the case's tolerance; torchcrepe's decoder adds noise of +-20 cents, so there the sign is kept
        assert abs(np.median(cents(f0, known))) < 5


@every
@pytest.mark.parametrize("padding", ["center", "same"])
def test_frames_lie_at_the_centres_of_the_mels_frames(name, padding):
    """Up and down again by two octaves a second: what a tracker is late shows as cents, its bias cancels."""
    mel = MelConfig(hop_length=512, n_fft=2048, padding=padding)
    octaves = 2 * np.minimum(np.arange(33075), 33074 - np.arange(33075)) / 22050
    f0 = tracker(name, mel).extract(voice(110 * 2**octaves, 22050))[0, 0].double().numpy()
    centres = np.arange(mel.frames(33075)) * 512 + (256 if padding == "same" else 0)
    sign = np.where(centres < 33075 / 2, 1, -1)
    inner = (np.abs(centres - 33075 / 2) > 3000) & (centres > 3000) & (centres < 30075)
    assert (f0[inner] > 0).all()
    early = np.log2(f0[inner] / 110 / 2 ** octaves[centres[inner]]) / 2 * 22050 * sign[inner]  # samples
    means = [early[sign[inner] == way].mean() for way in (1, -1)]
    assert abs(np.mean(means)) < 0.15 * 512  # half a hop would be 256; CREPE is 58 early, the others 5 at most


@every
def test_a_step_is_found_where_it_is(name):
    mel, at = MelConfig(hop_length=64), 22050 + 77
    f0 = tracker(name, mel).extract(voice(np.where(np.arange(44100) < at, 200.0, 225.0), 22050))[0, 0].numpy()
    higher = f0 > np.sqrt(200 * 225)
    (first,) = np.flatnonzero(higher[1:] & ~higher[:-1] & (f0[:-1] > 0))
    assert abs((first + 1) * 64 + 32 - at) / 22050 < 0.006  # half a step of 10 ms, CREPE's, and one hop


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize("hop", [160, 200, 256, 275])
def test_frame_times_are_where_an_impulse_is_loudest(padding, hop):
    from amphion_core.features.energy import energy

    mel = MelConfig(hop_length=hop, padding=padding)
    times = frame_times(mel, 40) * mel.sample_rate
    for frame in (10, 25):
        wave = torch.zeros(1, 12000)
        wave[0, round(float(times[frame]))] = 1
        assert int(energy(wave, mel)[0, 0].argmax()) == frame


@every
def test_trackers_agree_on_real_voices(name, data_pack):
    clips = [
        *sorted((data_pack / "kathleen_en/wavs").glob("*.flac"))[4:5],
        *sorted((data_pack / "kerstin_de/wavs").glob("*.flac"))[2:3],
        *(data_pack / "singing_ccby/audio" / f"{stem}.flac" for stem in ("vocadito_10", "xserra_female")),
    ]
    praat, other, close, common, either = tracker("praat"), tracker(name), 0, 0, 0
    for clip in clips:
        wave = torch.from_numpy(Audio.load(clip).mono().resample(22050).samples)[None, : 3 * 22050]
        one, two = (each.extract(wave)[0, 0].numpy() for each in (praat, other))
        off = np.abs(cents(one, two))
        close, common, either = close + (off < 165).sum(), common + len(off), either + (one > 0).sum()
    assert close > 0.95 * common  # within 10 %; measured .96 (dio) to 1
    assert common > 0.85 * either  # frames Praat calls voiced


@every
@pytest.mark.parametrize("padding", ["center", "same"])
def test_an_item_is_the_same_alone_and_in_a_batch(name, padding):
    mel = MEL.replace(padding=padding)
    wave = torch.cat([voice(np.linspace(150, 250, 20000), 22050), voice(np.full(20000, 110.0), 22050)])
    lengths = torch.tensor([20000, 9999])
    both = tracker(name, mel).extract(wave, lengths)
    alone = tracker(name, mel).extract(wave[1:, :9999])
    count = mel.frames(9999)
    assert both.shape == (2, 1, mel.frames(20000)) and both.dtype == torch.float32
    torch.testing.assert_close(both[1:, :, :count], alone, atol=1e-4, rtol=0)
    assert not both[1, :, count:].any() and (both[0] > 0).float().mean() > 0.9


@every
def test_silence_and_noise_are_finite_and_silence_has_no_voice(name):
    assert not tracker(name).extract(torch.zeros(1, 22050)).any()
    noise = torch.randn(1, 11025, generator=torch.Generator().manual_seed(0)) * 0.1
    f0 = tracker(name).extract(noise)
    assert torch.isfinite(f0).all() and f0.max() <= 1200
    if name != "harvest":  # which leans towards voiced
        assert (f0 > 0).float().mean() < 0.5


@every
@pytest.mark.parametrize("samples", [MEL.shortest, 600, 1500])
def test_the_shortest_audio_has_the_mels_frames(name, samples):
    f0 = tracker(name).extract(voice(np.full(samples, 220.0), 22050))
    assert f0.shape == (1, 1, MEL.frames(samples)) and torch.isfinite(f0).all()


@every
def test_the_conformance_kit_passes(name):
    component = TRACKERS[name][0]
    target = f"{component.__module__}:{component.__name__}"
    ref = ComponentRef("features", f"f0_{name}", target, "amphion-core", "0.1", "", "amphion_core.api:v1")
    check_config(ref)
    check_feature(ref)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_names_the_line_that_installs_it(name, monkeypatch):
    _, package, extra = TRACKERS[name]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage) as caught:
        tracker(name).extract(torch.zeros(1, 4000))
    assert caught.value.hint == f'pip install "amphion-core[{extra}]"'


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("dio", {"fmin": 500, "fmax": 400}, "fmin: 500.0 Hz is not below fmax 400.0 Hz"),
        ("harvest", {"fmax": 12000}, "fmax: 12000.0 Hz is above half the rate, 11025.0 Hz"),
        ("swift", {"fmin": 40}, "not within 46.875 to"),
        ("crepe", {"fmax": 2500}, "not within 32.0 to"),
        ("praat", {"fmin": -1}, "fmin: input should be greater than 0"),
        ("dio", {"hop": 256}, "hop: no such field"),
    ],
)
def test_a_wrong_config_names_its_field(name, fields, message):
    with pytest.raises(RecipeError, match=message):
        validate(TRACKERS[name][0].Config, fields)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (torch.zeros(4000), "shape"),
        (torch.zeros(1, 100), "100 samples are too few"),
        (torch.full((1, 4000), torch.nan), "not finite"),
    ],
)
def test_a_wave_that_cannot_be_used_has_a_reason(wave, message):
    with pytest.raises(AudioError, match=message):
        tracker("dio").extract(wave)


def test_a_border_of_voice_is_never_crossed():
    times, f0 = np.arange(5) * 0.01, np.array([0.0, 100, 400, 0, 0])
    at = np.array([-1, 0.004, 0.006, 0.01, 0.015, 0.024, 0.026, 9])
    np.testing.assert_allclose(align_f0(times, f0, at), [0, 0, 100, 100, 200, 400, 0, 0])
    np.testing.assert_allclose(align_f0(times[:1], f0[1:2], at[:2]), [100, 100])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.0, 80.0, 200.0, 640.0]), min_size=1, max_size=12))
def test_gaps_are_filled_as_numpy_interpolates(values):
    row = np.array(values)
    places = np.flatnonzero(row)
    line = np.exp(np.interp(np.arange(len(row)), places, np.log(row[places]))) if len(places) else row
    filled = interpolate_f0(torch.tensor(np.stack([row, np.zeros_like(row)])))
    np.testing.assert_allclose(filled.numpy(), [line, np.zeros_like(row)], rtol=1e-12)


def test_the_best_path_is_the_likeliest_of_all():
    """By enumeration of every path of 3 frames through 14 bins."""
    bins = np.random.default_rng(0).random((3, 14))
    share = np.log(bins / bins.sum(1, keepdims=True))
    step = np.log(np.maximum(12 - np.abs(np.subtract.outer(np.arange(14), np.arange(14))), 1e-300))
    total = share[0][:, None, None] + step[:, :, None] + share[1][None, :, None] + step[None] + share[2][None, None]
    assert tuple(_best_path(bins)) == np.unravel_index(total.argmax(), total.shape)
