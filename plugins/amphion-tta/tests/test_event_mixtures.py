"""Simulated mixtures: their captions are true, an item depends on its seed alone, and wrong folders are refused."""

from itertools import pairwise

import numpy as np
import pytest

from amphion_core.api import Audio
from amphion_core.config import validate
from amphion_core.data.prepare import PrepareConfig
from amphion_core.errors import DataError, RecipeError
from amphion_tta.datasets.event_mixtures import EventMixtures
from amphion_tta.one_shots import cut
from amphion_tta.sound_events import EnergyDetector
from amphion_tta.timed_events import read_short_notation, sentence

RATE = 8000


def tone(seconds, frequency, level=0.3):
    return level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes in sub-folders; each recording holds two sounds between pauses."""
    root = tmp_path_factory.mktemp("sounds")
    pause = np.zeros(RATE // 2, np.float32)
    for name, frequency in {"low_tone": 300, "high tone": 2000}.items():
        (root / name).mkdir()
        parts = [pause, tone(0.3, frequency), pause, tone(0.6, frequency, 0.2), pause]
        Audio(np.concatenate(parts), RATE).save(root / name / "a.wav")
    return root


def dataset(folder, into, **fields):
    given = {"seconds": 4.0, "sample_rate": RATE, "mixtures": 3, "dev_mixtures": 1, "test_mixtures": 0, **fields}
    return EventMixtures(EventMixtures.Config(root=str(folder), into=str(into), **given))


def test_sounds_are_found_by_energy(folder):
    audio = Audio.load(folder / "low_tone" / "a.wav")
    found = EnergyDetector().find(audio.samples, RATE)
    assert np.abs(np.array(found) - [[0.5, 0.8], [1.3, 1.9]]).max() < 0.025  # a frame has 20 ms
    assert EnergyDetector().find(np.zeros(RATE, np.float32), RATE) == []
    pieces = list(cut(audio.samples, RATE, detector=EnergyDetector(), shortest=0.1, longest=0.4))
    assert [round(len(piece) / RATE, 1) for piece in pieces] == [0.3, 0.4]  # the loudest first; the other one is cut
    assert all(np.sqrt(np.mean(piece**2)) == pytest.approx(1, abs=0.02) for piece in pieces)


def test_captions_state_where_the_sounds_are(folder, tmp_path):
    items = list(dataset(folder, tmp_path / "mixed", mixtures=6).utterances())
    assert [item.split for item in items] == ["train"] * 6 + ["dev"]
    for item in items:
        events = read_short_notation(item.extra["events"])
        assert item.caption == sentence(events) and {event.name for event in events} <= {"low tone", "high tone"}
        audio = Audio.load(item.path)
        assert audio.duration == 4.0
        stated = np.zeros(len(audio.samples), bool)
        for event in events:
            for start, end in event.spans:
                stated[round(start * RATE) : round(end * RATE)] = True
                part = np.abs(np.fft.rfft(audio.samples[round(start * RATE) : round(end * RATE)]))
                pitch = part.argmax() / (end - start)
                assert pitch == pytest.approx(300 if event.name == "low tone" else 2000, abs=10)
        assert np.abs(audio.samples[~stated]).max() < 1e-3 < np.abs(audio.samples[stated]).max()


def test_an_item_depends_on_its_seed_alone(folder, tmp_path):
    few, many = dataset(folder, tmp_path / "a"), dataset(folder, tmp_path / "b", mixtures=500)
    pool = few.pools()["train"]
    assert np.array_equal(few.mixture("train", 2, pool)[0], many.mixture("train", 2, pool)[0])
    other = dataset(folder, tmp_path / "c", seed=1)
    assert not np.array_equal(few.mixture("train", 2, pool)[0], other.mixture("train", 2, pool)[0])


def test_counts_levels_and_overlaps_are_those_of_the_config(folder, tmp_path):
    mixer = dataset(folder, tmp_path / "a", kinds=(2, 2), occurrences=(2, 2), levels=(-30, -30), overlap=True, gap=0.1)
    pool = mixer.pools()["train"]
    overlapping = 0
    for number in range(20):
        samples, events = mixer.mixture("train", number, pool)
        assert [len(event.spans) for event in events] == [2, 2]
        spans = sorted(span for event in events for span in event.spans)
        overlapping += any(a[1] > b[0] for a, b in pairwise(spans))
        for event in events:
            assert event.spans[1][0] - event.spans[0][1] >= 0.099  # of one class; times are rounded to 1 ms
    assert overlapping > 5
    start, end = (
        dataset(folder, tmp_path / "b", kinds=(1, 1), levels=(-30, -30)).mixture("train", 0, pool)[1][0].spans[0]
    )
    samples, _ = dataset(folder, tmp_path / "b", kinds=(1, 1), levels=(-30, -30)).mixture("train", 0, pool)
    level = 10 * np.log10(np.mean(samples[round(start * RATE) : round(end * RATE)] ** 2))
    assert level == pytest.approx(-30, abs=0.3)  # the fades lower it a little


def test_mixtures_of_another_configuration_are_not_taken_for_these(folder, tmp_path):
    list(dataset(folder, tmp_path / "mixed").utterances())
    assert len(list(dataset(folder, tmp_path / "mixed", mixtures=5).utterances())) == 6
    with pytest.raises(DataError, match="holds mixtures of another configuration"):
        list(dataset(folder, tmp_path / "mixed", seed=2).utterances())


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"into": ""}, DataError, "is not given\nhint: amphion prepare event_mixtures"),
        ({"root": "nowhere"}, DataError, "there is no folder nowhere"),
        ({"classes": ("bell",)}, DataError, "has no class 'bell'\nhint: its classes are high tone, low tone"),
        (
            {"shortest_sound": 2.0, "longest_sound": 3.0},
            DataError,
            "no single sounds with a class; most often: it has no sound",
        ),
        ({"occurrences": (3, 2)}, RecipeError, "occurrences: 3 to 2"),
        ({"levels": (-20.0, -30.0)}, RecipeError, "levels: -20 to -30"),
        ({"longest_sound": 60.0}, RecipeError, "longest_sound"),
    ],
)
def test_what_cannot_be_mixed(folder, tmp_path, fields, error, message):
    with pytest.raises(error) as found:
        config = validate(EventMixtures.Config, {"root": str(folder), "into": str(tmp_path / "mixed"), **fields})
        list(EventMixtures(config).utterances())
    assert message in str(found.value)


def test_its_options_are_not_those_of_every_preparation():
    assert not EventMixtures.Config.model_fields.keys() & PrepareConfig.model_fields.keys()


def test_real_recordings_are_mixed(data_pack, tmp_path):
    mixer = EventMixtures(EventMixtures.Config(root=str(data_pack / "soundfx"), into=str(tmp_path / "mixed")))
    pools = mixer.pools()
    assert {"beep", "chime", "whoosh"} <= set(pools["train"]) and not pools["dev"]
    samples, events = mixer.mixture("test", 0, pools["test"])
    assert len(samples) == 160_000 and events and np.isfinite(samples).all()
