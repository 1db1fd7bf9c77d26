"""The task svc: length, loudness and silences of the source, the singer by name or recording, and what is refused."""

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Audio
from amphion_core.errors import AmphionError, AudioError, DataError, RecipeError, WeightsError
from amphion_core.sounds import clipped
from amphion_svc.models.world import World
from amphion_svc.request import SVCRequest

RATE = 24000


class Choir(World):
    """svc/world with a table of singers in place of recordings."""

    class Config(World.Config):
        """The names of two singers and their median F0 in Hz."""

        speakers: tuple[str, ...] = ("anna", "bert")
        speaker_f0: tuple[float, ...] = (420.0, 105.0)

    variants = {}

    @property
    def voice_feature(self):
        return None

    @property
    def feature_variants(self):
        return self.variants

    def convert(self, features, lengths, speaker, **other):
        assert speaker.ndim == 1
        return super().convert(features, lengths, features["voice"] * (1 - 0.2 * speaker[:, None]), **other)


@pytest.fixture
def choir(monkeypatch):
    monkeypatch.setattr("amphion_svc.task.open_converter", lambda name, **other: ("choir", Choir(Choir.Config())))
    return lambda: amphion.task("svc")


def test_svc_world_is_the_default_without_weights():
    assert amphion.task("svc").model_name == "svc/world"


def test_the_result_is_as_long_and_as_loud_as_the_song(task, song, singer):
    padded = Audio(np.pad(song.samples, (12345, 30001)), RATE)
    made = task.generate(SVCRequest(audio=padded, target=singer))
    assert len(made.samples) == len(padded.samples) and made.sample_rate == RATE
    assert made.loudness() == pytest.approx(padded.loudness(), abs=0.5)
    assert np.abs(made.samples[:6000]).max() == 0 == np.abs(made.samples[-20000:]).max()
    assert made.peak <= 1


def test_another_rate_and_a_second_channel_keep_the_seconds(task, hum):
    source = Audio(np.stack([hum[0].resample(44100).samples] * 2), 44100)
    made = task.generate(SVCRequest(audio=source, target=Audio(np.tile(hum[1].samples, 2), RATE)))
    assert made.duration == pytest.approx(source.duration, abs=1 / RATE) and made.samples.ndim == 1


def test_a_long_phrase_is_converted_in_slices_without_a_gap(task, hum, monkeypatch):
    whole = Audio(np.tile(hum[0].samples, 3), RATE)  # 4.5 s
    request = SVCRequest(audio=whole, target=Audio(np.tile(hum[1].samples, 2), RATE), key_shift=0)
    one = task.generate(request)
    monkeypatch.setattr("amphion_svc.slices.slices_of.__kwdefaults__", {"longest": 2.5})
    plan = task.plan(request)
    assert len(plan.slices) >= 3
    cut = Audio.concatenate(list(task.convert(plan)))
    frames = [
        np.sqrt(np.square(each.samples[: len(each.samples) // 1200 * 1200].reshape(-1, 1200)).mean(1))
        for each in (one, cut)
    ]
    inner = slice(4, -4)
    np.testing.assert_allclose(frames[1][inner], frames[0][inner], rtol=0.35)  # two slices may meet in opposite phase


def test_the_key_shift_is_automatic_or_stated(task, hum):
    source, target = hum[0], Audio(np.tile(hum[1].samples, 2), RATE)
    assert task.plan(SVCRequest(audio=source, target=target)).key_shift == 7  # 140 to 210 Hz
    assert task.plan(SVCRequest(audio=source, target=target, key_shift=-2)).key_shift == -2


def test_a_singer_is_chosen_by_name(choir, hum):
    task = choir()
    plans = {name: task.plan(SVCRequest(audio=hum[0], singer=name)) for name in ("anna", "bert")}
    assert plans["anna"].key_shift == 19 and plans["bert"].key_shift == -5
    made = {name: Audio.concatenate(list(task.convert(plan))) for name, plan in plans.items()}
    assert np.abs(made["anna"].samples - made["bert"].samples).max() > 0.01


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"singer": "carl"}, "choir has no speaker 'carl'", "anna, bert"),
        ({}, "choir needs a singer", "anna, bert"),
        ({"target": Audio(np.zeros(9, np.float32), RATE)}, "cannot imitate a recording", "anna, bert"),
    ],
)
def test_a_model_of_named_singers_lists_them(choir, hum, fields, message, hint):
    with pytest.raises(DataError, match=message) as caught:
        choir().generate(SVCRequest(audio=hum[0], **fields))
    assert hint in caught.value.hint


def test_features_of_other_weights_than_in_the_training_are_refused(choir, monkeypatch):
    monkeypatch.setattr(Choir, "variants", {"frames": "contentvec-1234"})
    with pytest.raises(WeightsError, match=r"the feature frames of other weights \(contentvec-1234\)"):
        choir()
    monkeypatch.setattr(Choir, "variants", {"frames": ""})
    choir()


def test_a_model_of_another_family_and_a_vocoder_too_many_are_refused():
    with pytest.raises(WeightsError, match="does not convert voices"):
        amphion.task("svc", model="vocoder/griffin_lim")
    with pytest.raises(AudioError, match="makes waves itself"):
        amphion.task("svc", model="svc/world", vocoder="vocoder/griffin_lim")


def bad(samples, rate=RATE):
    return Audio(np.asarray(samples, np.float32), rate)


NOISE = np.random.default_rng(0).standard_normal(2 * RATE) * 0.1
STEPS = np.concatenate(
    [np.sin(2 * np.pi * f * np.arange(1440) / RATE) for f in [110, 330, 150, 440, 200, 600, 130] * 6]
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"audio": bad(np.zeros(RATE))}, "the song is silent"),
        ({"audio": bad(np.stack([NOISE, -NOISE]))}, "silent when its channels are mixed"),
        ({"audio": bad(NOISE[:100])}, "too short"),
        ({"audio": bad(NOISE)}, "voice was found in the song"),
        ({"audio": bad(np.zeros(3601), 1)}, "the song lasts 1.0 hours"),
        ({"key_shift": 36}, "a key shift of \\+36 semitones leaves the range"),
        ({"target": bad(np.zeros(RATE))}, "the recording of the singer is silent"),
        ({"target": bad(NOISE)}, "the recording of the singer has .* seconds of voice"),
        ({"target": None}, "svc/world needs a singer"),
        ({"target": None, "singer": "anna"}, "knows no singer by name, and 'anna' is not a recording"),
        ({"singer": "anna"}, "a singer is named and a recording is given"),
    ],
    ids=["silence", "opposite", "short", "noise", "long", "key", "silent singer", "no voice", "none", "name", "both"],
)  # fmt: skip
def test_what_cannot_be_converted_is_one_sentence(task, hum, fields, message):
    given = {"audio": hum[0], "target": Audio(np.tile(hum[1].samples, 2), RATE)} | fields
    with pytest.raises((AudioError, DataError), match=message) as caught:
        task.generate(SVCRequest(**given))
    assert caught.value.hint and "\n" not in caught.value.message


def test_instrumental_music_is_refused(task, data_pack, hum):
    loop = Audio.load(data_pack / "sonicpi_loops/audio/loop_mehackit2.flac")
    with pytest.raises(DataError, match="voice was found in the song"):
        task.plan(SVCRequest(audio=loop, target=Audio(np.tile(hum[1].samples, 2), RATE)))


def test_a_pitch_that_jumps_is_not_one_voice():
    from amphion_svc.recordings import check_voice

    jumping = np.where(np.arange(200) % 2, 150.0, 200.0).astype(np.float32)
    with pytest.raises(DataError, match="its pitch jumps in 100 % of its frames"):
        check_voice([jumping], 200, 0.005)
    vibrato = (200 * 2 ** (np.sin(np.arange(200) * 0.005 * 2 * np.pi * 6) / 12)).astype(np.float32)
    check_voice([vibrato], 200, 0.005)


def test_what_can_be_converted_but_should_be_known_is_a_note(task, hum):
    source, target = hum[0], Audio(np.tile(hum[1].samples, 2), RATE)
    low = Audio(np.stack([source.resample(8000).samples] * 2), 8000)
    assert [note.split(" of ")[0] for note in task.plan(SVCRequest(audio=low, target=target)).notes] == [
        "the song has 2 channels, which are mixed to one", "the song has a rate"
    ]  # fmt: skip
    over = Audio((source.samples * 5).clip(-1, 1), RATE)
    assert any("is clipped" in note for note in task.plan(SVCRequest(audio=over, target=target)).notes)
    assert task.plan(SVCRequest(audio=source, target=target)).notes == ()


def test_clipping_is_found_in_flat_tops_only(song):
    assert clipped(song.samples) < 1e-4
    assert clipped((song.samples * 8).clip(-1, 1)) > 0.01
    assert clipped(np.sin(np.arange(24000) * 0.05).astype(np.float32)) < 1e-3


def test_an_unknown_control_lists_the_controls(task, hum):
    with pytest.raises(RecipeError, match="pitch") as caught:
        task.plan(SVCRequest(audio=hum[0], target=hum[1], controls={"pitch": 1}))
    assert "formants, colour" in caught.value.hint


def test_the_formants_can_be_stated(task, hum):
    target = Audio(np.tile(hum[1].samples, 2), RATE)
    made = [
        task.generate(SVCRequest(audio=hum[0], target=target, key_shift=0, controls={"formants": f, "colour": 0}))
        for f in (0.8, 1.25)
    ]
    brightness = [np.sum(np.arange(12001) * np.abs(np.fft.rfft(each.samples[:24000]))) for each in made]
    assert brightness[1] > 1.1 * brightness[0]


def test_the_voice_of_a_recording_is_computed_once_for_many_songs(task, hum, monkeypatch):
    target = Audio(np.tile(hum[1].samples, 2), RATE)
    first = task.singer(None, target)
    monkeypatch.setattr(task, "_voice_of", lambda recording: pytest.fail("it was computed again"))
    assert torch.equal(task.singer(None, target).speaker, first.speaker)


def test_a_request_for_too_much_is_refused_before_it_is_computed(task, hum):
    with pytest.raises(AmphionError, match="key_shift"):
        task.request(audio=hum[0], target=hum[1], key_shift=99)
