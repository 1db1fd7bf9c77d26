"""Validation by converting: which item gets which voice, what is scored against what, and metrics that cannot be."""

import math

import pytest
import torch

import amphion_core as amphion
from amphion_core.api import Batch
from amphion_core.errors import RecipeError
from amphion_svc.converted_validation import ConversionMetrics, ConvertedValidation

RECIPE = {
    "against_source": ["fpc", "vuv_f1", {"name": "f0_rmse", "key_shift": None}, "speaker_similarity"],
    "against_target": ["speaker_similarity"],
}


@pytest.fixture(scope="module")
def batch(hum):
    low, high = (torch.from_numpy(each.samples[:24000].copy()) for each in hum)
    wave = torch.stack([low, high, torch.cat([low[:20000], torch.zeros(4000)])])
    lengths, speaker = torch.tensor([24000, 24000, 20000]), torch.tensor([0, 1, 0])
    others = {"other": wave[[1, 2, 1]], "other_lengths": lengths[[1, 2, 1]], "other_speaker": speaker[[1, 2, 1]]}
    return Batch(("a", "folder/b", "c"), {"wave": wave, "lengths": lengths, "speaker": speaker, **others}, {"items": 3})


@pytest.fixture(scope="module")
def validated(batch):
    pytest.importorskip("resemblyzer", reason="pip install resemblyzer")
    net = amphion.build("svc/world").for_inference()
    validation = ConvertedValidation(ConversionMetrics(**RECIPE), net)
    return validation, validation(net, batch)


def test_every_metric_of_the_recipe_is_a_score_of_each_item(validated):
    validation, found = validated
    names = {"source_fpc", "source_vuv_f1", "source_f0_rmse", "source_speaker_similarity", "target_speaker_similarity"}
    assert set(found.scores) == {*names, "real_time_factor"} == set(validation.higher_is_better)
    assert all(len(values) == 3 for values in found.scores.values())
    assert validation.higher_is_better["source_speaker_similarity"] is None
    assert validation.higher_is_better["target_speaker_similarity"] is True


def test_the_melody_stays_and_the_key_changes(validated):
    _, found = validated
    assert min(found.scores["source_vuv_f1"]) > 0.9
    assert max(found.scores["source_f0_rmse"]) < 50  # cents, in the key of the target; the abrupt ends differ most


def test_each_item_gets_the_voice_of_the_other_recording(validated):
    _, found = validated
    assert set(found.audio) == {"converted_a", "converted_folder_b", "converted_c"}
    assert [len(found.audio[name]) for name in ("converted_a", "converted_c")] == [24000, 20000]
    gains = zip(found.scores["target_speaker_similarity"], found.scores["source_speaker_similarity"], strict=True)
    assert sum(target - source for target, source in gains) > 0


def test_in_a_training_in_bf16_the_features_are_computed_in_float32(batch):
    net = amphion.build("svc/world").for_inference()
    validation = ConvertedValidation(ConversionMetrics(against_source=["fpc"]), net)
    with torch.autocast("cpu", torch.bfloat16):
        found = validation(net, batch)
    again = validation(net, batch)
    assert found.scores["source_fpc"] == again.scores["source_fpc"]
    assert all(torch.equal(found.audio[name], again.audio[name]) for name in again.audio)


def test_nothing_is_converted_without_metrics(batch):
    net = amphion.build("svc/world").for_inference()
    found = ConvertedValidation(ConversionMetrics(), net)(net, batch)
    assert not found.scores and not found.audio


@pytest.mark.parametrize("name", ["fad", "wer"])
def test_a_metric_that_a_validation_cannot_compute_is_refused(name):
    with pytest.raises(RecipeError, match=name):
        ConvertedValidation(ConversionMetrics(against_target=[name]), amphion.build("svc/world"))


def test_a_metric_that_is_not_defined_for_an_item_is_not_a_number(batch):
    net = amphion.build("svc/world").for_inference()
    quiet = Batch(("a",), {"wave": torch.zeros(1, 12000), "lengths": torch.tensor([12000])}, {"items": 1})
    found = ConvertedValidation(ConversionMetrics(against_source=["fpc"]), net)(net, quiet)
    assert math.isnan(found.scores["source_fpc"][0])
