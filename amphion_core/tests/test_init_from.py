"""``engine.init_from``: every kind of place, paths inside the model, parts of a source, other mel conventions."""

import shutil

import pytest
import torch
from pydantic import Field
from torch import nn

import amphion_core as amphion
from amphion_core import recipe as recipes, weights
from amphion_core.api import BaseConfig, Mel, MelConfig, ModelArchitecture, ModelTrainer, Update, Validation
from amphion_core.errors import RecipeError, UnknownComponent, WeightsError
from amphion_core.files import write_safetensors
from amphion_core.stored_weights import from_folder
from amphion_core.training import checkpoint
from amphion_core.training.run import train

PRESET = "hifigan_22k_80"


class Half(nn.Module):
    """A stack with names at two depths."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(2, 2)
        self.extra = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})


class Voice(ModelArchitecture):
    """A decoder, and an encoder that training alone needs."""

    class Config(BaseConfig):
        """The mel convention."""

        mel: Mel = Field(default=MelConfig.preset(PRESET), description="mel convention")

    def __init__(self, config):
        super().__init__(config)
        self.encoder, self.decoder = Half(), Half()

    @classmethod
    def example_config(cls):
        return cls.Config()

    def example_inputs(self):
        return {"x": torch.zeros(1, 2)}

    def forward(self, x):
        return self.decoder.line(self.encoder.line(x))


class Small(Voice):
    """The decoder alone, as a voice is published."""

    def __init__(self, config):
        super().__init__(config)
        del self.encoder


class VoiceTrainer(ModelTrainer):
    """Changes nothing, so that checkpoints hold what a run began with."""

    class Config(BaseConfig):
        """What is trained."""

        parts: bool = Field(default=False, description="train the decoder alone")

    sample_rate = 16000

    def __init__(self, config, *, model):
        super().__init__(config, model=model)
        self.judge = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))

    def networks(self):
        return {"decoder": self.model.decoder} if self.config.parts else {"generator": self.model, "judge": self.judge}

    def training_step(self, batch, step):
        name = next(iter(self.networks()))
        yield Update(name, 0 * self.model.decoder.line.weight.sum())

    def validation_step(self, batch):
        return Validation({})


@pytest.fixture(autouse=True)
def components(installed):
    installed("models", **{"voice/toy": Voice, "voice/small": Small})
    installed("trainers", voice=VoiceTrainer)


@pytest.fixture
def start(noises, tmp_path):
    """Runs one step with ``init_from`` and returns the model it began with, as its weights folder holds it."""
    count = iter(range(99))

    def run(init_from, overrides=(), **values):
        recipe = {
            "name": "init", "model": "voice/toy", "trainer": {"name": "voice"}, "seed": 1,
            "data": {"root": str(noises), "budget": 0.6, "dev": None},
            "optim": {"name": "sgd", "betas": [0, 0], "weight_decay": 0},
            "engine": {"steps": 1, "device": "cpu", "init_from": init_from},
        } | values  # fmt: skip
        for override in overrides:
            recipes.apply_override(recipe, override)
        return train(recipes.check(recipe), tmp_path / f"run{next(count)}")

    return run


@pytest.fixture
def saved(tmp_path):
    """Saves a new network of other random weights as a weights folder: ``saved("voice/toy")``."""
    count = iter(range(99))

    def save(name, **config):
        number = next(count)
        torch.manual_seed(100 + number)
        return weights.save(amphion.build(name, **config), tmp_path / f"saved{number}")

    return save


def state(folder):
    return from_folder(folder).state


def same(found, expected, inside=""):
    names = [name for name in found if name.startswith(inside)]
    assert names
    for name in names:
        assert found[name].equal(expected[name]), name


def test_a_weights_folder_gives_the_model(start, saved):
    source = saved("voice/toy")
    same(state(start(str(source))), state(source))


def test_a_run_and_the_path_to_its_weights_are_the_same(start, saved):
    first = start(str(saved("voice/toy")))
    same(state(start(str(first.parent))), state(first))


def test_a_checkpoint_of_the_same_trainer_gives_all_networks(start, saved):
    first = start(str(saved("voice/toy"))).parent
    again = start(str(first / "checkpoints/step-1"), seed=9).parent
    one, other = (checkpoint.read(run / "checkpoints/step-1")[0]["networks"] for run in (first, again))
    assert any(name.startswith("judge.") for name in one)
    same(one, other)


def test_a_checkpoint_of_another_trainer_gives_the_model(start, saved):
    first = start(str(saved("voice/toy"))).parent
    found = state(start(str(first / "checkpoints/step-1"), ["trainer.parts=true"], seed=9))
    same(found, state(first / "weights"))


def test_a_card_gives_the_model(start, saved, monkeypatch):
    from amphion_core import cards

    source = saved("voice/toy")
    card = cards.Card(name="voice/toy@mine", title="a toy", source=str(source))
    monkeypatch.setattr(cards, "cards", lambda pattern="": iter([card]))
    same(state(start("voice/toy@mine")), state(source))


@pytest.mark.parametrize("name", ["generator", "model"])
def test_the_model_by_the_name_of_its_network_or_as_model(start, saved, name):
    source = saved("voice/toy")
    same(state(start({name: str(source)})), state(source))


def test_a_part_of_the_model_by_its_path_from_a_part_of_the_source(start, saved):
    whole, small = saved("voice/toy"), saved("voice/small")
    found = state(start({"decoder": {"source": str(small), "part": "decoder"}, "encoder.extra.a": {
        "source": str(whole), "part": "encoder.extra.a"}}))  # fmt: skip
    same(found, state(small), "decoder.")
    same(found, state(whole), "encoder.extra.a.")
    assert not found["encoder.line.weight"].equal(state(whole)["encoder.line.weight"])


def test_a_path_inside_a_network_and_a_frozen_part_of_the_model(start, saved):
    source = saved("voice/toy")
    found = state(start({"decoder.line": {"source": str(source), "part": "encoder.line"}, "encoder": {
        "source": str(source), "part": "encoder"}}, ["trainer.parts=true"]))  # fmt: skip
    assert found["decoder.line.weight"].equal(state(source)["encoder.line.weight"])
    same(found, state(source), "encoder.")


def test_overrides_write_the_same_as_a_mapping(start, saved):
    small = saved("voice/small")
    found = state(
        start(None, [f"engine.init_from.model.decoder={small}", "engine.init_from.model.decoder.part=decoder"])
    )
    same(found, state(small), "decoder.")


def test_parameters_that_the_source_lacks_keep_their_values_and_are_listed(start, saved, capfd):
    small = saved("voice/small")
    before = state(start(None))
    found = state(start({"generator": {"source": str(small), "missing": "keep"}}))
    same(found, state(small), "decoder.")
    same(found, before, "encoder.")
    shown = " ".join(capfd.readouterr().err.split())
    assert "not in the source, and therefore at their initial values: encoder.*" in shown


def test_single_parameters_are_listed_by_name_and_whole_parts_by_their_path():
    from amphion_core.training.initial import _summary

    names = ["a.x.weight", "a.x.bias", "a.y.weight", "a.y.bias", "b.weight"]
    assert _summary(["a.x.weight", "a.x.bias", "a.y.bias"], names) == ["a.x.*", "a.y.bias"]
    assert _summary(["b.weight", "a.x.weight"], names) == ["a.x.weight", "b.*"]


def test_missing_parameters_are_an_error_unless_they_may_be_kept(start, saved):
    small = saved("voice/small")
    with pytest.raises(WeightsError) as caught:
        start({"generator": str(small)})
    assert caught.value.message == f"{small} has no encoder.*, which the model of the recipe has"
    override, _, _ = caught.value.hint.removeprefix('"').partition('" ')
    found = state(start(None, [override]))  # the hint is what to type
    same(found, state(small), "decoder.")


def test_weights_of_other_shapes_are_an_error_that_says_what_must_agree(start, saved, tmp_path):
    net = saved("voice/toy")
    tensors = state(net)
    name = next(iter(tensors))
    wrong = shutil.copytree(net, tmp_path / "wrong")
    write_safetensors(wrong / "model.safetensors", tensors | {name: tensors[name][:-1]})
    with pytest.raises(WeightsError, match="does not fit the network") as caught:
        start({"generator": str(wrong)})
    assert "same model fields" in caught.value.hint


def test_a_source_that_has_a_part_of_the_name_is_explained(start, saved):
    source = saved("voice/toy")
    with pytest.raises(WeightsError) as caught:
        start({"decoder": str(source)})
    assert "engine.init_from.decoder.part=decoder" in caught.value.hint


def test_a_part_that_the_source_lacks_is_an_error_that_lists_its_parts(start, saved):
    with pytest.raises(WeightsError, match="has no part 'decodre'") as caught:
        start({"decoder": {"source": str(saved("voice/toy")), "part": "decodre"}})
    assert "decoder, encoder" in caught.value.hint


def test_a_name_that_is_no_network_and_no_part_is_an_error_that_lists_them(start, saved):
    with pytest.raises(RecipeError, match="'decodre' is neither a network nor a part of the model") as caught:
        start({"decodre": str(saved("voice/toy"))})
    assert "generator" in caught.value.hint and "judge.0" in caught.value.hint and "decoder" in caught.value.hint


def test_a_place_that_holds_nothing_is_an_error(start, tmp_path):
    with pytest.raises(WeightsError, match="there is no folder"):
        start(str(tmp_path / "nowhere"))
    with pytest.raises(UnknownComponent):
        start("voice/nothing@x")


def test_weights_of_another_mel_convention_are_refused_with_the_fields(start, saved):
    source = saved("voice/toy", mel="vits_22k_80")
    differing = r"another mel convention .*\(fmax: None there and 8000.0 here; epsilon: 1e-06 there and 1e-09 here\)"
    for given in (str(source), {"generator": str(source)}, {"decoder": {"source": str(source), "part": "decoder"}}):
        with pytest.raises(WeightsError, match=differing) as caught:
            start(given)
        assert "audio=" in caught.value.hint and f"source: {source}, mel: any" in caught.value.hint
    same(state(start({"generator": {"source": str(source), "mel": "any"}})), state(source))


def test_a_checkpoint_of_another_mel_convention_is_refused(start):
    first = start(None, ["audio=vits_22k_80"]).parent
    with pytest.raises(WeightsError, match="another mel convention"):
        start(str(first / "checkpoints/step-1"))
    start(str(first / "checkpoints/step-1"), ["audio=vits_22k_80"])


def test_a_resumed_run_needs_the_source_only_where_it_gives_frozen_weights(start, saved, noises, tmp_path):
    source = saved("voice/toy")
    whole = start({"generator": str(source)}).parent
    parts = start({"model": str(source)}, ["trainer.parts=true"]).parent
    shutil.rmtree(source)
    for run in (whole, parts):
        again = recipes.read(str(run / "config.yaml"), ["engine.steps=2"])
        if run == whole:
            train(again, run, resume=True)
        else:
            with pytest.raises(WeightsError, match="there is no folder"):
                train(again, run, resume=True)
