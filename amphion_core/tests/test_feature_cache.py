"""Cached features: each at its own frame rate, in batches, once per process, named by all that made them."""

import os
import pickle
import sys
import types
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pydantic import Field
from safetensors import safe_open
from safetensors.numpy import save as safetensors_of

from amphion_core import registry
from amphion_core.api import BaseConfig, FeatureExtractor
from amphion_core.data import extraction, feature_cache
from amphion_core.data.batch import collate_audio
from amphion_core.data.config import DataConfig
from amphion_core.data.extraction import complete_features
from amphion_core.data.feature_cache import FeatureCache
from amphion_core.data.loader import Corpus, Position, covering_frames, training_batches
from amphion_core.data.manifest import Manifest, audio_digest
from amphion_core.errors import DataError
from amphion_core.features.resampling import to_frames
from amphion_core.parts import FeaturePart
from amphion_core.registry import ComponentRef

RATE = 16000


class Means(FeatureExtractor):
    """The mean of each frame; of a ramp wave this is the time of the frame's centre."""

    class Config(BaseConfig):
        """How the frames lie, and what goes wrong."""

        shift: int | None = Field(default=80, description="samples between frames; null: one vector per utterance")
        lost: int = Field(default=0, description="frames missing at the end")
        weights: str = Field(default="", description="what the variant is")
        known: bool = Field(default=True, description="the number of frames is known in advance")
        fails: float = Field(default=9.0, description="a wave with a larger value cannot be used")
        declared: float | None = Field(default=None, description="another frame shift than the real one, seconds")

    sample_rate = RATE
    dim = 2
    built: list[str] = []
    batches: list[int] = []

    def __init__(self, config):
        super().__init__(config)
        self.built.append(config.weights)
        self.frame_shift = config.declared or (config.shift and config.shift / RATE)

    @property
    def variant(self):
        return self.config.weights

    def frames(self, samples):
        return samples // self.config.shift - self.config.lost if self.config.shift and self.config.known else None

    def extract(self, wave, lengths=None):
        from amphion_core.errors import AudioError

        self.batches.append(len(wave))
        if wave.max() > self.config.fails:
            raise AudioError("too loud")
        lengths = wave.new_full((len(wave),), wave.shape[1]) if lengths is None else lengths
        if self.config.shift is None:
            return torch.stack([wave.sum(1) / lengths, wave.max(1).values], 1)
        count = wave.shape[1] // self.config.shift
        found = wave[:, : count * self.config.shift].unflatten(1, (count, -1)).mean(2)
        found = found[:, : count - self.config.lost] if self.config.lost else found
        own = lengths[:, None] // self.config.shift - self.config.lost
        found = found * (torch.arange(found.shape[1], device=found.device) < own)
        return torch.stack([found, -found], 1)


@pytest.fixture(autouse=True)
def means():
    module = types.ModuleType("amphion_means")
    module.Means = Means
    sys.modules["amphion_means"] = module
    Means.built.clear()
    Means.batches.clear()
    feature_cache.describe.cache_clear()
    feature_cache.release_extractors()
    ref = ComponentRef("features", "means", "amphion_means:Means", "amphion-core", "0.1.0", "", "amphion_core.api:v1")
    with registry.temporary(ref):
        yield
    del sys.modules["amphion_means"]


def ramp(seconds, rate=RATE):
    return (np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.fixture
def folder(prepared):
    return prepared({"train": {f"c{n}": ramp(1 + 0.0137 * n) for n in range(8)}})


def part(**fields):
    return FeaturePart.named("means", **fields)


def corpus(folder, features, rate=RATE, hop=256, **fields):
    config = DataConfig(root=str(folder), **fields)
    items = Corpus(config, "train", rate=rate, seed=1, hop=hop, features=features)
    for _ in complete_features([cache for caches in items.caches.values() for cache in caches], processes=1):
        pass
    return items


@pytest.mark.parametrize("rate", [RATE, 22050])
def test_every_feature_of_a_crop_lies_where_its_offset_says(folder, rate):
    """200, 50 and 40 Hz beside a hop of 256 samples, also where a frame is 110.25 samples of the run's rate."""
    shifts = {"fast": 80, "slow": 320, "odd": 400}
    features = {name: part(shift=shift) for name, shift in shifts.items()}
    items = corpus(folder, features, rate=rate, crop=4096, resample=True)
    counts = {name: set() for name in shifts}
    for item in range(len(items)):
        for seed in range(12):
            example = items.example(item, (seed,))
            start = float(example.wave[1000:3000].mean()) - 1999.5 / rate  # of the crop, seconds
            assert start * rate / 256 == pytest.approx(round(start * rate / 256), abs=0.01)
            for name, shift in shifts.items():
                frames = example.features[name][0]
                centres = start + example.offsets[name] + np.arange(len(frames)) * shift / RATE
                whole = len(items.caches[name][0].read(item)[0])
                inside = centres < whole * shift / RATE  # later frames do not exist, see the test below
                assert np.abs(frames - centres)[inside].max() < 1e-4  # half a sample: means are of its left edges
                first, last = example.offsets[name] - shift / RATE / 2, centres[-1] - start + shift / RATE / 2
                assert first <= 1e-9 and last >= 4096 / rate - 1e-9
                counts[name].add(len(frames))
    assert all(len(found) == 1 for found in counts.values())


def test_a_crop_brought_to_the_frames_of_the_mel_has_the_values_of_those_times(folder):
    items = corpus(folder, {"slow": part(shift=320)}, crop=4096)
    (_, batch) = next(iter(training_batches(items, collate_audio, Position(), micro_batches=1, workers=0)))
    frames = to_frames(batch["slow"], 16, frame_shift=0.02, to_shift=256 / RATE, offset=batch["slow_offset"])
    starts = batch["wave"][:, :1].double()
    centres = starts + (torch.arange(16) + 0.5) * 256 / RATE
    inner = (torch.arange(16) % 15 > 0) & (centres < 0.98)  # at the ends the first and the last frame hold
    assert (frames[:, 0] - centres).abs()[inner].max() < 1e-4
    assert inner.sum() > 40
    assert len(set(batch["slow_offset"].tolist())) > 1


def test_whole_utterances_keep_all_frames_with_lengths(folder):
    items = corpus(folder, {"slow": part(shift=320), "voice": part(shift=None)}, budget=20.0)
    batch = collate_audio([items.example(item, (0,)) for item in (0, 7)])
    assert batch["slow_lengths"].tolist() == [50, 54]
    assert batch["slow"].shape == (2, 2, 54)
    assert batch["slow_offset"].tolist() == pytest.approx([0.01, 0.01])
    assert batch.counts["slow"] == 104
    assert not batch["slow"][0, :, 50:].any()


def test_one_vector_per_utterance_is_a_row_of_the_batch(folder):
    items = corpus(folder, {"voice": part(shift=None)}, crop=2048)
    batch = collate_audio([items.example(item, (3,)) for item in (0, 7)])
    assert batch["voice"].shape == (2, 2)
    assert "voice_offset" not in batch and "voice" not in batch.counts
    assert batch["voice"][1, 0] == pytest.approx((1 + 0.0137 * 7) / 2, abs=1e-4)


def test_frames_missing_at_the_end_repeat_the_last_one_and_shift_nothing(folder):
    full = corpus(folder, {"f": part(shift=320)}, crop=4096)
    short = corpus(folder, {"f": part(shift=320, lost=2)}, crop=4096)
    at_the_end = 0
    for item in range(8):
        for seed in range(30):
            wanted, found = (one.example(item, (seed,)).features["f"] for one in (full, short))
            assert found.shape == wanted.shape
            last = short.caches["f"][0].read(item)[0, -1]
            assert np.array_equal(found, np.where(np.abs(wanted) > last, np.sign(wanted) * last, wanted))
            at_the_end += bool((found != wanted).any())
    assert at_the_end


@given(
    crop=st.integers(1, 5000), hop=st.sampled_from([1, 64, 256, 300]),
    shift=st.fractions(min_value=Fraction(1, 2), max_value=1000, max_denominator=8),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_the_covering_frames_are_the_fewest_that_cover_a_crop_from_anywhere(crop, hop, shift):
    needed = [-(-(start + crop) // shift) - start // shift for start in range(0, hop * 4000, hop)[:4000]]
    count = covering_frames(crop, shift, hop)
    assert max(needed) <= count
    if shift.denominator * 1000 <= 4000:
        assert max(needed) == count


def test_items_in_a_batch_are_what_they_are_alone_and_the_extractor_is_built_once(folder):
    manifest = Manifest(folder)
    cache = FeatureCache(manifest, part(shift=320, weights="a"))
    steps = list(complete_features([cache], processes=1))
    assert [steps[0].done, steps[-1].done, steps[-1].total] == [0, 8, 8]
    assert Means.built == ["a"]
    assert Means.batches == [8]
    for index in range(8):
        alone = Means(part(shift=320).config).extract(torch.from_numpy(ramp(1 + 0.0137 * index))[None])[0]
        np.testing.assert_array_equal(cache.read(index), alone.numpy())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_an_extractor_that_can_be_moved_works_on_the_gpu_in_batches(folder, monkeypatch, tmp_path):
    devices = []

    def move(self, device):
        devices.append(str(device))
        return self

    monkeypatch.setattr(Means, "to", move)
    caches = [FeatureCache(Manifest(folder), part(shift=320), tmp_path / name) for name in ("gpu", "cpu")]
    for cache, device in zip(caches, ("auto", "cpu"), strict=True):
        list(complete_features([cache], device=device, processes=1))
    assert devices == ["cuda", "cpu"] and Means.batches == [8, 8]
    for index in range(8):
        np.testing.assert_allclose(caches[0].read(index), caches[1].read(index), atol=1e-6)


def test_features_of_the_toolkit_are_the_same_in_a_batch_and_alone(folder):
    for name, preset in (("mel", "apnet_16k_80"), ("mel", "tta_16k_80"), ("energy", "audioldm_16k_64")):
        mel = FeaturePart.named(name, mel=preset)
        cache = FeatureCache(Manifest(folder), mel)
        list(complete_features([cache], processes=1))
        for index in (0, 3, 7):
            alone = mel.build().extract(torch.from_numpy(ramp(1 + 0.0137 * index))[None])[0]
            assert cache.read(index).shape == alone.shape
            np.testing.assert_allclose(cache.read(index), alone, atol=1e-4)  # the FFT of a batch rounds differently


def test_items_of_an_unknown_number_of_frames_are_computed_one_by_one(folder):
    cache = FeatureCache(Manifest(folder), part(shift=320, known=False))
    list(complete_features([cache], processes=1))
    assert Means.batches == [1] * 8
    assert [cache.read(index).shape[1] for index in (0, 7)] == [50, 54]


def test_other_weights_are_another_feature(folder):
    manifest = Manifest(folder)
    one, two = (FeatureCache(manifest, part(weights=name)) for name in ("a", "b"))
    assert one.shards[0] != two.shards[0]
    list(complete_features([one], processes=1))
    assert one.missing() == [] and two.missing() == [0]
    with safe_open(one.shards[0], "np") as file:
        assert '"frame_shift": 0.005' in file.metadata()["info"]


def test_only_the_variant_is_enough_to_change_the_name(folder, monkeypatch):
    before = FeatureCache(Manifest(folder), part()).shards[0]
    feature_cache.describe.cache_clear()
    monkeypatch.setattr(Means, "variant", "a new checksum")
    assert FeatureCache(Manifest(folder), part()).shards[0] != before


def test_a_corpus_goes_to_loader_workers_without_the_extractor(folder):
    items = corpus(folder, {"f": part(shift=320)}, crop=2048)
    Means.built.clear()
    again = pickle.loads(pickle.dumps(items))
    assert again.example(3, (1,)).features["f"].shape == (2, 8)
    assert Means.built == []


def test_interrupted_extraction_continues_with_what_is_missing(folder, monkeypatch):
    monkeypatch.setattr(feature_cache, "SMALLEST_SHARD", 3)
    cache = FeatureCache(Manifest(folder), part())
    steps = complete_features([cache], processes=1)
    assert [next(steps).done, next(steps).done] == [0, 3]
    steps.close()
    assert [step.done for step in complete_features([cache], processes=1)] == [3, 6, 8]


def test_an_item_that_cannot_be_computed_is_named_though_it_was_in_a_batch(folder):
    cache = FeatureCache(Manifest(folder), part(fails=1.09))
    with pytest.raises(DataError, match=r"feature means of item c7 \(.*c7\.wav\) cannot be computed: too loud"):
        list(complete_features([cache], processes=1))


def test_a_frame_shift_that_is_not_true_is_an_error(folder):
    cache = FeatureCache(Manifest(folder), part(shift=320, declared=0.005))
    with pytest.raises(DataError, match=r"50 frames, its frame_shift says 200\.0"):
        list(complete_features([cache], processes=1))


def test_batches_hold_items_of_similar_length_within_the_seconds(folder):
    durations = {n: Manifest(folder)[n].utterance for n in range(8)}
    batches = list(extraction._batches(durations, 3.3))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert [index for batch in batches for index in batch] == sorted(range(8))


def test_two_processes_write_what_one_writes(folder, tmp_path):
    energy = FeaturePart.named("energy", mel={"sample_rate": RATE})
    caches = [FeatureCache(Manifest(folder), energy, tmp_path / name) for name in ("one", "two")]
    for cache, processes in zip(caches, (1, 2), strict=True):
        cache.shard_size = 4
        list(complete_features([cache], processes=processes))
    assert len(caches[0].shards) == 2
    for one, two in zip(*(cache.shards for cache in caches), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_names_that_a_batch_uses_are_refused(folder):
    with pytest.raises(DataError, match="cannot be called 'wave'"):
        corpus(folder, {"wave": part()})
    with pytest.raises(DataError, match="cannot be called 'f_lengths'"):
        corpus(folder, {"f": part(), "f_lengths": part()})


def test_a_damaged_shard_says_which_file_to_remove(folder):
    cache = FeatureCache(Manifest(folder), part())
    cache.folder.mkdir()
    for content in (b"", bytes(50), safetensors_of({"other": np.zeros((2, 3))}), safetensors_of({"0": np.zeros(3)})):
        cache.shards[0].write_bytes(content)
        feature_cache._opened.cache_clear()
        with pytest.raises(DataError, match=r"the cached feature .*safetensors is damaged") as caught:
            cache.read_frames(0, 0, 2)
        assert caught.value.hint.startswith(f"rm {cache.shards[0]}")


def test_features_are_not_computed_from_another_file_than_was_prepared(folder):
    manifest = folder / "train.jsonl"
    right = audio_digest(str(folder / "c0.wav"))
    manifest.write_text(manifest.read_text().replace("digest-c0", right))
    cache = FeatureCache(Manifest(folder), part())
    assert list(complete_features([cache], processes=1))[-1].done == 8
    manifest.write_text(manifest.read_text().replace(right, "0" * 24))
    cache = FeatureCache(Manifest(folder), part())
    with pytest.raises(DataError, match=r"c0\.wav of item c0 has changed since amphion prepare"):
        list(complete_features([cache], processes=1))


def test_the_digest_of_a_file_follows_its_content(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    before = audio_digest(str(path))
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert audio_digest(str(path)) != before
