"""Items and loaders: crops, rates, features, and the same batches with any number of workers and processes."""

from itertools import islice

import numpy as np
import pytest
import soundfile
import torch

from amphion_core.component import Utterance
from amphion_core.data.batch import collate_audio, pad
from amphion_core.data.config import DataConfig
from amphion_core.data.extraction import complete_features
from amphion_core.data.loader import Corpus, LoaderDied, Position, training_batches, validation_batches
from amphion_core.data.reading import Reader
from amphion_core.errors import DataError
from amphion_core.parts import AugmentationPart, FeaturePart

RATE = 16000


def clips(count, seconds=1.0, rate=RATE):
    random = np.random.default_rng(0)
    return {f"c{n}": random.uniform(-0.5, 0.5, int(rate * seconds) + n).astype(np.float32) for n in range(count)}


@pytest.fixture
def folder(prepared):
    return prepared({"train": clips(12), "dev": {"d": clips(1)["c0"]}})


def corpus(folder, **fields):
    features = fields.pop("features", None)
    config = DataConfig(root=str(folder), **fields)
    return Corpus(config, "train", rate=RATE, seed=7, hop=256, features=features)


def batches(items, position=None, count=8, **fields):
    fields = {"micro_batches": 2, "workers": 0} | fields
    return list(islice(training_batches(items, collate_audio, position or Position(), **fields), count))


def test_a_crop_is_a_span_of_its_recording(folder):
    items = corpus(folder, crop=2048)
    example = items.example(3, (1, 2))
    whole, _ = soundfile.read(folder / "c3.wav", dtype="float32")
    starts = np.flatnonzero(whole == example.wave[0])
    assert any(np.array_equal(whole[start : start + 2048], example.wave) for start in starts)
    assert np.array_equal(items.example(3, (1, 2)).wave, example.wave)
    assert not np.array_equal(items.example(3, (1, 3)).wave, example.wave)


def test_crops_reach_both_ends_of_a_recording(prepared):
    ramp = np.linspace(0, 1, 2060).astype(np.float32)
    items = corpus(prepared({"train": {"r": ramp}}), crop=2048)
    firsts = {float(items.example(0, (seed,)).wave[0]) for seed in range(200)}
    assert {float(ramp[0]), float(ramp[12])} <= firsts


@pytest.mark.parametrize("fields", [{"workers": 2}, {"world": 2, "rank": 0}, {"world": 2, "rank": 1}])
def test_batches_do_not_depend_on_workers_and_processes(folder, fields):
    items = corpus(folder, crop=2048, budget=0.5)
    alone = batches(items, count=8)
    found = batches(items, count=8 // fields.get("world", 1), **fields)
    wanted = [pair for pair in alone if pair[0].number % fields.get("world", 1) == fields.get("rank", 0)]
    assert [micro for micro, _ in found] == [micro for micro, _ in wanted]
    for (_, one), (_, other) in zip(found, wanted, strict=True):
        assert one.ids == other.ids
        assert one["wave"].equal(other["wave"])


def test_reading_on_from_a_position_gives_what_would_have_come(folder):
    items = corpus(folder, crop=2048, budget=0.5)
    whole = batches(items, count=24)  # more than an epoch
    for micro, _ in whole[::2]:
        again = batches(items, micro.position, count=2)
        start = next(index for index, (one, _) in enumerate(whole) if one == micro)
        assert [one for one, _ in again] == [one for one, _ in whole[start : start + 2]]


def test_another_rate_is_refused_unless_resampling_is_asked_for(prepared):
    time = np.arange(22050) / 22050
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    folder = prepared({"train": {"a": tone}}, rate=22050)
    with pytest.raises(DataError, match=r"1 of 1 items .* another rate than the model's 16000 Hz, such as 22050"):
        corpus(folder)
    wave = corpus(folder, resample=True).example(0, (0,)).wave
    assert len(wave) == RATE
    wanted = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert np.abs(wave[500:-500] - wanted[500:-500]).max() < 1e-3  # the resampler's ripple


def test_a_resampled_crop_is_the_crop_of_the_resampled_recording(prepared):
    import soxr

    random = np.random.default_rng(0)
    noise = np.convolve(random.standard_normal(48000), np.hanning(32) / 16, "same").astype(np.float32)
    folder = prepared({"train": {"a": noise}}, rate=24000)
    from amphion_core.data.manifest import Manifest

    utterance = Manifest(folder)[0].utterance
    whole = soxr.resample(noise, 24000, RATE)
    for start in (0, 1000, 12345):
        part = Reader().read(utterance, RATE, start, 4096)
        assert len(part) == 4096
        lag = part - whole[start : start + 4096]
        assert np.abs(lag).max() < 1e-3  # the resampler's response beyond the margin


def test_cached_features_are_cropped_with_the_wave(folder):
    items = corpus(folder, crop=2048, features={"mel": FeaturePart.named("mel", mel={"sample_rate": RATE})})
    assert [step.done for step in complete_features(items.caches["mel"], processes=1)][-1] == 12
    example = items.example(5, (4,))
    assert example.features["mel"].shape == (80, 8)
    whole, _ = soundfile.read(folder / "c5.wav", dtype="float32")
    start = next(n for n in range(0, len(whole), 256) if np.array_equal(whole[n : n + 2048], example.wave))
    cached = items.caches["mel"][0].read(5)
    assert np.array_equal(cached[:, start // 256 : start // 256 + 8], example.features["mel"])


def test_augmentations_change_training_audio_by_the_items_seed(folder):
    loud = corpus(folder, crop=2048, augment=(AugmentationPart.named("gain", low=6.0, high=6.0),))
    plain = corpus(folder, crop=2048)
    ratio = loud.example(0, (9,)).wave / plain.example(0, (9,)).wave
    assert np.allclose(ratio, 10 ** (6 / 20), rtol=1e-4)
    fast = corpus(folder, crop=2048, augment=(AugmentationPart.named("speed"),)).example(0, (9,))
    assert fast.wave.shape == (2048,)
    with pytest.raises(DataError, match=r"data\.augment changes the audio, but the cached features"):
        corpus(folder, augment=(AugmentationPart.named("gain"),), features={"mel": FeaturePart.named("mel")})


def test_items_too_short_for_a_crop_are_left_out_and_counted(prepared):
    folder = prepared({"train": {"short": np.ones(100, np.float32), "long": np.ones(5000, np.float32)}})
    items = corpus(folder, crop=2048)
    assert (len(items), items.left_out) == (1, 1)
    with pytest.raises(DataError, match="all left out"):
        corpus(folder, crop=8192)


def test_a_file_that_vanishes_or_shrinks_is_named(folder):
    items = corpus(folder)
    (folder / "c1.wav").unlink()
    with pytest.raises(DataError, match=r"c1\.wav of item c1 cannot be read"):
        items.example(1, (0,))
    soundfile.write(folder / "c2.wav", np.zeros(10, np.float32), RATE)
    with pytest.raises(DataError, match="shorter than its manifest says"):
        corpus(folder, crop=4096).example(2, (0,))
    soundfile.write(folder / "c3.wav", np.full(RATE + 3, np.nan, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        items.example(3, (0,))


@pytest.mark.parametrize("duration", [1.1, 50.0, 1e6])
@pytest.mark.parametrize("rate", [RATE, 2 * RATE])
def test_a_duration_longer_than_the_file_is_an_error_and_takes_no_memory(folder, duration, rate):
    utterance = Utterance("a", str(folder / "c0.wav"), duration)
    with pytest.raises(DataError, match="shorter than its manifest says"):
        Reader().read(utterance, rate)


@pytest.mark.parametrize("start", [0, 5000])
def test_crops_of_a_file_that_states_no_length(folder, start):
    """A FLAC file as it is written into a pipe: its header states 0 samples."""
    samples = clips(1)["c0"]
    soundfile.write(folder / "a.flac", samples, RATE)
    data = bytearray((folder / "a.flac").read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    (folder / "a.flac").write_bytes(data)
    utterance = Utterance("a", str(folder / "a.flac"), len(samples) / RATE)
    reader = Reader()
    for _ in range(2):  # opened, and still open
        np.testing.assert_allclose(reader.read(utterance, RATE, start, 100), samples[start : start + 100], atol=1e-4)
    assert len(reader.read(utterance, RATE)) == len(samples)


def test_an_error_in_a_worker_is_the_same_error(folder):
    items = corpus(folder)
    for name in folder.glob("c*.wav"):
        name.write_bytes(b"no audio")
    with pytest.raises(DataError, match="cannot be read"):
        batches(items, count=1, workers=1)


@pytest.mark.parametrize("named", ["", "item c5: "])
def test_an_error_of_the_collator_names_the_item_once(folder, named):
    def collate(examples):
        if any(example.utterance.id == "c5" for example in examples):
            raise DataError(f"{named}its text has no letters", hint="give another text")
        return collate_audio(examples)

    with pytest.raises(DataError, match="item c5: its text has no letters") as caught:
        list(islice(training_batches(corpus(folder), collate, Position(), micro_batches=1, workers=0), 40))
    assert caught.value.message == "item c5: its text has no letters" and caught.value.hint == "give another text"


def test_validation_items_are_spread_evenly_and_shared_by_processes(folder):
    items = corpus(folder)
    whole = [batch.ids for _, batch in validation_batches(items, collate_audio, limit=5)]
    assert [id for (id,) in whole] == ["c0", "c3", "c6", "c8", "c11"]
    shares = [
        [batch.ids for _, batch in validation_batches(items, collate_audio, limit=5, rank=rank, world=2)]
        for rank in (0, 1)
    ]
    assert sorted(shares[0] + shares[1]) == sorted(whole)


def test_a_prompt_is_the_other_item_of_the_speaker_that_is_nearest_to_three_seconds(prepared):
    seconds = {"a1": 1, "a2": 2.5, "a3": 5, "b1": 3, "b2": 0.5, "c1": 3}
    waves = {
        id: np.full(int(RATE * length), index / 10, np.float32) for index, (id, length) in enumerate(seconds.items())
    }
    root = prepared({"dev": waves}, speaker={id: id[0] for id in seconds})
    items = Corpus(DataConfig(root=str(root)), "dev", rate=RATE, seed=7, training=False, partners="own voice")
    examples = [items.example(item, (0, item)) for item in range(len(items))]
    found = {one.utterance.id: one.partner and one.partner.utterance.id for one in examples}
    assert found == {"a1": "a2", "a2": "a1", "a3": "a2", "b1": "b2", "b2": "b1", "c1": None}
    assert np.array_equal(examples[0].partner.wave, waves["a2"])
    assert items.example(0, (1, 0)).partner.utterance.id == "a2"  # the same at every validation
    without = Corpus(DataConfig(root=str(root)), "dev", rate=RATE, seed=7, training=False)
    assert without.example(0, (0, 0)).partner is None


def test_a_partner_of_another_voice_is_an_item_of_the_next_speaker(prepared):
    waves = {id: np.full(RATE, index / 10, np.float32) for index, id in enumerate(("a1", "a2", "b1", "c1", "c2"))}
    root = prepared({"dev": waves}, speaker={id: id[0] for id in waves})
    items = Corpus(DataConfig(root=str(root)), "dev", rate=RATE, seed=7, training=False, partners="other voice")
    examples = [items.example(item, (0, item)) for item in range(len(items))]
    found = {one.utterance.id: one.partner.utterance.id for one in examples}
    assert found == {"a1": "b1", "a2": "b1", "b1": "c1", "c1": "a1", "c2": "a2"}


def test_pinned_batches_are_the_same_batches(folder, monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    items = corpus(folder, crop=2048, budget=0.5)
    found, wanted = batches(items, count=3, pin=True), batches(items, count=3)
    for (_, one), (_, other) in zip(found, wanted, strict=True):
        assert one.ids == other.ids and one.counts == other.counts
        assert one["wave"].equal(other["wave"])
    assert len(pinned) == 6  # wave and lengths of three batches


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs a GPU")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_gpu_gets_batches_from_pinned_memory(folder, workers):
    items = corpus(folder, crop=2048, budget=0.5)
    found, wanted = batches(items, count=6, pin=True, workers=workers), batches(items, count=6)
    for (one, batch), (other, plain) in zip(found, wanted, strict=True):
        assert one == other and batch.ids == plain.ids
        assert batch["wave"].is_pinned() and batch["wave"].equal(plain["wave"])
        assert batch.to(torch.device("cuda"))["wave"].cpu().equal(plain["wave"])


def test_padding_fills_up_and_keeps_lengths():
    wave, lengths = pad([np.ones((2, 3), np.float32), np.ones((2, 1), np.float32)], fill=-1)
    assert wave.tolist() == [[[1, 1, 1], [1, 1, 1]], [[1, -1, -1], [1, -1, -1]]]
    assert lengths.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), LoaderDied),
        (EOFError(), LoaderDied),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), LoaderDied),
        (ConnectionResetError("Caught ConnectionResetError in DataLoader worker process 0."), ConnectionResetError),
    ],
)
def test_a_loader_process_that_dies_while_it_sends_a_batch_is_one_sentence(folder, monkeypatch, raised, expected):
    class Died:
        _workers = ()

        def __init__(self, *_, **fields):
            pass

        def __iter__(self):
            return self

        def __next__(self):
            raise raised

    monkeypatch.setattr("torch.utils.data.DataLoader", Died)
    with pytest.raises(expected):
        batches(corpus(folder), workers=2)
