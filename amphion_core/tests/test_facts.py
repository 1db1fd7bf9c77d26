"""Facts of a corpus: speakers, characters, seconds, and statistics that stay exact."""

import numpy as np
import pytest
import torch

from amphion_core.api import CorpusFacts, MelConfig
from amphion_core.data.config import DataConfig
from amphion_core.errors import DataError
from amphion_core.features.energy import energy
from amphion_core.parts import FeaturePart

RATE = 16000
MEL = MelConfig.preset("hifigan_22k_80").replace(sample_rate=RATE, fmax=None)
ENERGY = FeaturePart.named("energy", mel={"sample_rate": RATE, "fmax": None})


def clips(count, seed=0):
    random = np.random.default_rng(seed)
    return {f"{seed}-{n}": 0.2 * random.standard_normal(8000 + 100 * n).astype(np.float32) for n in range(count)}


def facts(*folders, **fields):
    return CorpusFacts(DataConfig(root=[str(folder) for folder in folders]), **fields)


def test_statistics_are_those_of_all_frames_of_all_sources(prepared):
    waves = clips(5) | clips(3, seed=1)
    found = facts(prepared({"train": clips(5)}), prepared({"train": clips(3, 1)}, name="two")).statistics(ENERGY)
    values = np.concatenate([energy(torch.from_numpy(wave)[None], MEL)[0, 0].double() for wave in waves.values()])
    assert found.count == len(values)
    np.testing.assert_allclose(found.mean, values.mean(), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, values.std(), rtol=1e-6)
    np.testing.assert_allclose([found.smallest[0], found.largest[0]], [values.min(), values.max()], rtol=1e-6)


def test_values_that_are_not_positive_are_left_out_where_asked(prepared):
    waves = clips(2)
    for wave in waves.values():
        wave[:4096] = 0  # silence has an energy of 0
    corpus = facts(prepared({"train": waves}))
    every, positive = corpus.statistics(ENERGY), corpus.statistics(ENERGY, positive_only=True)
    assert every.smallest == (0.0,) and positive.smallest[0] > 0.5
    assert positive.mean > every.mean and positive.deviation < every.deviation


def test_the_deviation_of_values_far_from_zero_is_exact():
    from amphion_core.data.facts import _Sums

    random = np.random.default_rng(0)
    parts = [1e8 + random.standard_normal((2, count)) for count in (1, 50, 3, 1000)]
    sums = _Sums(2)
    for part in parts:
        sums.add(part, np.ones_like(part, bool))
    deviation = np.sqrt(sums.squares / sums.count)
    np.testing.assert_allclose(deviation, np.concatenate(parts, 1).std(1), rtol=1e-6)  # a sum of squares gives 0 or 2


def test_a_feature_without_values_has_no_statistics(prepared):
    folder = prepared({"train": {"a": np.full(8000, 1e-12, np.float32) * 0}})
    with pytest.raises(DataError, match="energy has no values above 0 in the training split"):
        facts(folder).statistics(ENERGY, positive_only=True)


def test_progress_is_reported_and_the_feature_is_cached(prepared):
    steps = []
    corpus = facts(prepared({"train": clips(4)}), on_progress=steps.append)
    corpus.statistics(ENERGY)
    assert [(step.done, step.total) for step in steps] == [(0, 4), (4, 4)]
    corpus.statistics(ENERGY)
    assert (steps[-1].done, len(steps)) == (4, 3)


def test_speakers_are_sorted_names_of_all_sources(prepared):
    one = prepared({"train": clips(3)}, speaker={"0-0": "tom", "0-1": "ann", "0-2": "tom"})
    two = prepared({"train": clips(1, 1)}, name="two", speaker={"1-0": "bo"})
    assert facts(one, two).speakers == ("ann", "bo", "tom")
    with pytest.raises(DataError, match="some utterances of the training split have a speaker and others have none"):
        _ = facts(one, prepared({"train": clips(1, 2)}, name="three")).speakers
    assert facts(prepared({"train": clips(1, 3)}, name="four")).speakers == ()


def test_characters_are_counted_and_seconds_added(prepared):
    corpus = facts(prepared({"train": clips(2)}, text={"0-0": "abba", "0-1": "b ä"}))
    assert list(corpus.characters.items()) == [("b", 3), ("a", 2), (" ", 1), ("ä", 1)]
    assert corpus.seconds == pytest.approx(16100 / RATE)
    assert [utterance.text for utterance in corpus.utterances()] == ["abba", "b ä"]
