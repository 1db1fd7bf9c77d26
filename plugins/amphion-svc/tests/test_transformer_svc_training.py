"""TransformerSVC learns two short voices; what the run stores of its singers; a song in a singer's voice by name."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import amphion_core as amphion
from amphion_core import recipe as recipes, yaml
from amphion_core.api import Batch, CorpusFacts, FeaturePart
from amphion_core.data.batch import Example, Utterance
from amphion_core.data.config import DataConfig
from amphion_core.errors import DataError, RecipeError
from amphion_core.mel import MelConfig
from amphion_core.training import run
from amphion_svc.trainers.converter_trainer import SpeakerCollator, fitted

RATE = 24000
CONTENT = {"name": "mel", "mel": {**MelConfig.preset("hifigan_22k_80").model_dump(), "n_mels": 12}}  # another rate


@pytest.fixture
def recipe(prepared, hum):
    low, high = (each.samples for each in hum)
    clips, speaker = {"a": low, "b": high}, {"a": "tom", "b": "ann"}
    folder = prepared({"train": clips, "dev": clips}, rate=RATE, speaker=speaker)

    def make(steps=60, **trainer):
        return recipes.check({
            "name": "tiny", "audio": "amphion_24k_100", "data": {"root": str(folder), "budget": 10.0, "workers": 0},
            "model": {
                "name": "svc/transformer", "content": [CONTENT], "condition_channels": 32, "n_layers": 1,
                "filter_channels": 32, "dropout": 0.0,
            },
            "trainer": {"name": "transformer_svc", **trainer},
            "optim": {"name": "adamw", "lr": 1e-2, "clip": 1.0},
            "engine": {"steps": steps, "validate_every": steps, "monitor": "mel", "device": "cpu"},
        })  # fmt: skip

    return make


def errors_of_mel(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row["dev/mel"] for row in rows if "dev/mel" in row]


def test_a_run_learns_its_voices_and_converts_to_them_by_name(recipe, hum, tmp_path):
    validation = {"against_source": ["vuv_f1"], "vocoder": "vocoder/griffin_lim"}
    weights = run.train(recipe(validation=validation), tmp_path / "run")
    net = amphion.load(weights)
    assert net.config.speakers == ("ann", "tom")
    assert net.config.speaker_f0 == pytest.approx((210, 140), rel=0.01)
    assert len(net.config.mel_lowest) == 100 and net.feature_variants == {}
    assert errors_of_mel(tmp_path / "run")[-1] < 0.2  # measured: 0.06; 1.1 before the first step
    task = amphion.task("svc", model=str(weights), vocoder="vocoder/griffin_lim")
    assert task.plan(task.request(audio=hum[0], singer="ann")).key_shift == 7  # from 140 to 210 Hz
    for audio, singer, pitch in zip(hum, ("tom", "ann"), (140, 210), strict=True):
        made = task.generate(task.request(audio=audio, singer=singer))
        found = task.converter.f0(made.samples)
        assert abs(12 * math.log2(np.median(found[found > 0]) / pitch)) < 0.5  # semitones


def test_another_model_or_a_metric_without_vocoder_is_refused(recipe):
    with pytest.raises(RecipeError, match="cannot train World"):
        amphion.get("trainers", "transformer_svc")(
            amphion.get("trainers", "transformer_svc").Config(), model=amphion.build("svc/world")
        )


def test_the_only_singer_of_a_corpus_without_names_needs_no_name(prepared, hum, tmp_path):
    folder = prepared({"train": {"a": hum[0].samples}}, rate=RATE)
    model = amphion.get("models", "svc/transformer")
    facts = CorpusFacts(DataConfig(root=str(folder)))
    config = model.config_for(model.Config(content=(FeaturePart.named(**CONTENT),), n_layers=1), facts)
    assert config.speakers == ("singer",) and config.speaker_f0[0] == pytest.approx(140, rel=0.01)
    task = amphion.task("svc", model="svc/world")
    task.net = model(config)
    assert task.singer(None).speaker.tolist() == [0]


def test_a_model_of_any_voice_reads_the_vector_of_each_recording():
    trainer = amphion.get("trainers", "transformer_svc")
    config = amphion.get("models", "svc/transformer").example_config()
    fields = {"n_speakers": 1, "speakers": (), "speaker_f0": (), "voice": "world_voice"}
    net = amphion.get("models", "svc/transformer")(config.replace(**fields))
    found = trainer(trainer.Config(), model=net)
    assert set(found.features()) == {"mel", "f0", "voice"}
    assert "speaker" not in found.collator()([example("")])


def example(name, samples=2560):
    return Example(Utterance("x", "x.wav", samples / RATE, speaker=name), np.zeros(samples, np.float32))


def test_singers_become_numbers_and_an_unknown_one_is_named():
    mel = MelConfig.preset("amphion_24k_100")
    collate = SpeakerCollator(mel, ("ann", "tom"))
    batch = collate([example("tom"), example("ann", 1280)])
    assert isinstance(batch, Batch) and batch["speaker"].tolist() == [1, 0]
    assert batch["frames"].tolist() == [10, 5] and batch.counts["frames"] == 15
    with pytest.raises(DataError, match=r"item x: .* no speaker 'eve'"):
        collate([example("eve")])
    assert SpeakerCollator(mel, ())([example("")])["speaker"].tolist() == [0]
    assert "speaker" not in SpeakerCollator(mel, None)([example("eve")])


def test_frames_are_cut_or_repeated():
    values = torch.tensor([[1.0, 2.0, 3.0]])
    assert fitted(values, 2).tolist() == [[1, 2]] and fitted(values, 5).tolist() == [[1, 2, 3, 3, 3]]


@pytest.mark.parametrize("name", ["transformer_svc", "transformer_svc_small"])
def test_the_recipes_are_complete(name):
    recipe = recipes.read(name)
    assert recipe.trainer.config.validation.against_source
    assert recipes.check(yaml.parse(recipe.resolved())) == recipe


def test_the_small_recipe_has_the_parameters_that_it_states():
    pytest.importorskip("transformers", reason="pip install transformers")
    with torch.device("meta"):
        net = recipes.read("transformer_svc_small").model.build()
    assert sum(parameter.numel() for parameter in net.parameters()) == pytest.approx(2.6e6, rel=0.02)


def test_a_batch_has_the_recording_of_another_singer_with_its_number():
    sounds = [np.full(2400 * size, size / 10, np.float32) for size in (1, 2, 3)]
    names = ("tom", "ann", "tom")
    first, second, third = (
        Example(Utterance(f"u{place}", "x.wav", 0.1, speaker=name), sound)
        for place, (name, sound) in enumerate(zip(names, sounds, strict=True))
    )
    collate = SpeakerCollator(MelConfig.preset("amphion_24k_100"), ("ann", "tom"))
    batch = collate([replace(first, partner=second), replace(second, partner=third)])
    assert batch["speaker"].tolist() == [1, 0] and batch["other_speaker"].tolist() == [0, 1]
    assert batch["other_lengths"].tolist() == [4800, 7200]
    assert np.array_equal(batch["other"][1].numpy(), sounds[2])
    assert "other" not in collate([first, replace(second, partner=third)])
